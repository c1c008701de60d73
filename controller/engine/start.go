package engine

import (
	"maps"
	"slices"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// sliceSize is the number of owners that the first pass compares at a time.
const sliceSize = 1000

// start compares everything with the database without writing, marks the owners that differ, and reports the others. Those
// that somebody waits for are among them even when neither an object nor a row is left, and so are those held before. Groups
// are known when all who may ask for them have been compiled; they are the first to be applied, so that a Pod that comes back
// finds its rules.
func (s *session) start() {
	s.cfg.Store.SetServer(state.Server{Templates: s.conn.Has(db.ChassisTemplateVarTable), Tiers: s.conn.Has(db.ACLTable, "tier"), Mirrors: s.conn.Has(db.ACLTable, "tier")})
	everybody := s.everybody(append(s.cfg.Store.TakeAll(), slices.Collect(maps.Keys(s.held))...))
	clear(s.held)
	isGroup := func(o nb.Owner) bool { return o.Kind == state.KindGroup }
	objects := slices.DeleteFunc(slices.Clone(everybody), isGroup)
	first := s.compareAll(objects)
	groups := append(s.cfg.Store.Groups(), slices.DeleteFunc(everybody, func(o nb.Owner) bool { return !isGroup(o) })...)
	slices.SortFunc(groups, nb.Owner.Compare)
	second := s.compareAll(slices.Compact(groups))
	held := s.hold(append(first.remove, second.remove...), first.removals+second.removals)
	s.cfg.Store.MarkBulk(slices.Concat(second.differ, first.differ, held)...)
}

// comparison is what a first pass finds.
type comparison struct {
	differ, remove []nb.Owner
	removals       int // rows of those in remove, at least
}

func (s *session) compareAll(owners []nb.Owner) (all comparison) {
	for slice := range slices.Chunk(owners, sliceSize) {
		d, r, n := s.compare(slice)
		all = comparison{append(all.differ, d...), append(all.remove, r...), all.removals + n}
	}
	return all
}

// everybody lists the owners of objects, in an order in which parents come first, then the owners that have rows and no
// object, then the others.
func (s *session) everybody(others []nb.Owner) []nb.Owner {
	owners := s.cfg.Store.Owners()
	known := make(map[nb.Owner]bool, len(owners))
	for _, o := range owners {
		known[o] = true
	}
	for _, o := range append(s.conn.Owners(), others...) {
		if !known[o] {
			known[o] = true
			owners = append(owners, o)
		}
	}
	return owners
}

// compare plans some owners and reports those for which there is nothing to do.
func (s *session) compare(owners []nb.Owner) (differ, remove []nb.Owner, removals int) {
	problems := make(map[nb.Owner][]compile.Problem)
	wants, _ := s.compile(owners, problems)
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
			if w.Owner.Kind == state.KindGroup && len(w.Rows) > 0 { // whom it gains does not wait for what it is to lose
				differ = append(differ, w.Owner)
			}
		default:
			differ = append(differ, w.Owner)
		}
	}
	s.report(agree, nb.Txn{}, problems)
	return differ, remove, txn.Removed()
}
