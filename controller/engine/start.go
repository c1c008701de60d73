package engine

import (
	"maps"
	"slices"

	"github.com/heddle-net/heddle/ovs/nb"
)

// sliceSize is the number of owners that the first pass compares at a time.
const sliceSize = 1000

// start compares everything with the database without writing, marks the owners that differ, and reports the others. Where
// it would remove more than can be believed (an empty cache must not empty the network), the removals are held back until
// Release.
func (s *session) start() {
	s.cfg.Store.Clear() // what happens from here on is marked again
	var differ, remove []nb.Owner
	removals := 0
	everybody := s.everybody()
	for len(everybody) > 0 {
		slice := everybody[:min(sliceSize, len(everybody))]
		everybody = everybody[len(slice):]
		d, r, n := s.compare(slice)
		differ, remove, removals = append(differ, d...), append(remove, r...), removals+n
	}
	if total := s.conn.Size(); removals > max(minHeld, total/heldShare) {
		s.held = make(map[nb.Owner]bool, len(remove))
		for _, o := range remove {
			s.held[o] = true
		}
		s.cfg.Sink.Held(removals, total)
		s.cfg.Log.Info("Too many removals to be believed; they are held back", "removals", removals, "rows", total)
	} else {
		differ = append(differ, remove...)
	}
	s.cfg.Store.MarkBulk(differ...)
}

// A first pass may remove up to 100 rows, or a fifth of ours.
const (
	minHeld   = 100
	heldShare = 5
)

// everybody lists the owners of objects, in an order in which parents come first, then the owners that have rows and no
// object.
func (s *session) everybody() []nb.Owner {
	owners := s.cfg.Store.Owners()
	known := make(map[nb.Owner]bool, len(owners))
	for _, o := range owners {
		known[o] = true
	}
	for _, o := range s.conn.Owners() {
		if !known[o] {
			owners = append(owners, o)
		}
	}
	return owners
}

// compare plans some owners and reports those for which there is nothing to do.
func (s *session) compare(owners []nb.Owner) (differ, remove []nb.Owner, removals int) {
	wants, problems := s.compile(owners)
	txn := nb.Plan(s.conn, wants)
	touched := make(map[nb.Owner]nb.Action)
	for _, b := range txn.Blocked {
		touched[b.Owner] = nb.Modify
	}
	for _, m := range txn.Missing {
		touched[m.Owner] = nb.Modify
	}
	for _, c := range txn.Changes {
		if touched[c.Owner] != nb.Remove {
			touched[c.Owner] = c.Action
		}
	}
	var agree []nb.Want
	for _, w := range wants {
		switch action, ok := touched[w.Owner]; {
		case !ok:
			agree = append(agree, w)
		case action == nb.Remove:
			remove = append(remove, w.Owner)
		default:
			differ = append(differ, w.Owner)
		}
	}
	s.report(agree, nb.Txn{}, problems)
	return differ, remove, txn.Removed()
}

// letGo applies the removals that the first pass held back.
func (s *session) letGo() {
	s.cfg.Store.MarkBulk(slices.SortedFunc(maps.Keys(s.held), nb.Owner.Compare)...)
	s.held = nil
	s.cfg.Sink.Held(0, s.conn.Size())
}
