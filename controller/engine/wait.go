package engine

import (
	"maps"
	"slices"

	"github.com/heddle-net/heddle/ovs/nb"
)

// waiting remembers who waits for what. An entry is dropped when it wakes its owner: if that was not enough, the planner
// says so again.
type waiting struct {
	refs   map[nb.Ref]map[nb.Owner]bool   // for a row to come or to go
	owners map[nb.Owner]map[nb.Owner]bool // for another owner to change
	// members are rows that a set has left out; who has done so commits together with the row.
	members map[nb.Ref]map[nb.Owner]bool
}

func newWaiting() *waiting {
	return &waiting{
		refs: make(map[nb.Ref]map[nb.Owner]bool), owners: make(map[nb.Owner]map[nb.Owner]bool), members: make(map[nb.Ref]map[nb.Owner]bool),
	}
}

// block notes what a blocked owner waits for, and returns the owners that must be looked at first.
func (w *waiting) block(b nb.Blocked) []nb.Owner {
	if len(b.By) == 0 {
		w.add(b.Ref, b.Owner)
		return nil
	}
	var first []nb.Owner
	for _, by := range b.By {
		if w.owners[by] == nil {
			w.owners[by] = make(map[nb.Owner]bool)
			first = append(first, by)
		}
		w.owners[by][b.Owner] = true
	}
	if b.Reason == nb.ReasonNotEmpty {
		return first
	}
	return nil
}

func (w *waiting) add(ref nb.Ref, owner nb.Owner) {
	if w.refs[ref] == nil {
		w.refs[ref] = make(map[nb.Owner]bool)
	}
	w.refs[ref][owner] = true
}

// appeared returns who waited for one of these rows to come or go.
func (w *waiting) appeared(refs []nb.Ref) []nb.Owner {
	var woken []nb.Owner
	for _, ref := range refs {
		woken = slices.AppendSeq(woken, maps.Keys(w.refs[ref]))
		delete(w.refs, ref)
	}
	return woken
}

// moved returns who waited for the owner to change.
func (w *waiting) moved(owner nb.Owner) []nb.Owner {
	woken := slices.Collect(maps.Keys(w.owners[owner]))
	delete(w.owners, owner)
	return woken
}

// miss notes who has left out a member.
func (w *waiting) miss(m nb.Missing) {
	if w.members[m.Ref] == nil {
		w.members[m.Ref] = make(map[nb.Owner]bool)
	}
	w.members[m.Ref][m.Owner] = true
}

// missed returns who has left out one of these rows.
func (w *waiting) missed(refs []nb.Ref) []nb.Owner {
	var owners []nb.Owner
	for _, ref := range refs {
		owners = slices.AppendSeq(owners, maps.Keys(w.members[ref]))
		delete(w.members, ref)
	}
	return owners
}

// joined returns who has left out a row that is wanted now.
func (w *waiting) joined(wants []nb.Want) (owners []nb.Owner) {
	if len(w.members) == 0 {
		return nil
	}
	for _, want := range wants {
		for _, row := range want.Rows {
			owners = slices.AppendSeq(owners, maps.Keys(w.members[row.Ref()]))
		}
	}
	return owners
}

// came forgets who has left out rows that are there now.
func (w *waiting) came(wants []nb.Want, blocked []nb.Blocked) {
	if len(w.members) == 0 {
		return
	}
	absent := make(map[nb.Owner]bool, len(blocked))
	for _, b := range blocked {
		absent[b.Owner] = true
	}
	for _, want := range wants {
		if absent[want.Owner] {
			continue
		}
		for _, row := range want.Rows {
			delete(w.members, row.Ref())
		}
	}
}
