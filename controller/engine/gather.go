package engine

import (
	"cmp"
	"context"
	"slices"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
)

// gather compiles owners and all who must be in the same transaction, so that a Pod is never without its groups, nor a rule
// without the sets that it names: groups that somebody begins or ceases to ask for, groups that a Pod joins or leaves, and who
// has left out a member that comes now. Groups are compiled last, so that none is older than the Pods beside it, and come first.
func (s *session) gather(owners []nb.Owner) ([]nb.Want, map[nb.Owner][]compile.Problem) {
	var wants []nb.Want
	var groups []nb.Owner
	problems := make(map[nb.Owner][]compile.Problem)
	seen := make(map[nb.Owner]bool, len(owners))
	for todo := owners; len(todo) > 0; {
		var objects []nb.Owner
		for _, o := range todo {
			switch {
			case seen[o]:
			case o.Kind == state.KindGroup:
				groups = append(groups, o)
			default:
				objects = append(objects, o)
			}
			seen[o] = true
		}
		compiled, also := s.compile(objects, problems)
		wants = append(wants, compiled...)
		todo = slices.Concat(also, s.waiting.joined(compiled))
		for _, o := range todo {
			delete(s.audited, o) // an event explains what becomes of it
		}
	}
	compiled, _ := s.compile(groups, problems)
	for i := range compiled {
		compiled[i].Grow, compiled[i].Keep = len(s.held) > 0, s.held[compiled[i].Owner]
	}
	return append(compiled, wants...), problems
}

// compile asks the compilers. It reads the state as it is now, not as it was when the owners became dirty, and returns the
// groups that belong to what it found.
func (s *session) compile(owners []nb.Owner, problems map[nb.Owner][]compile.Problem) (wants []nb.Want, groups []nb.Owner) {
	wants = make([]nb.Want, 0, len(owners))
	for _, owner := range owners {
		var out compile.Output
		groups = append(groups, s.cfg.Store.Compile(owner, func(v *state.View) { out = s.cfg.Compile(v, owner) })...)
		wants = append(wants, nb.Want{Owner: owner, Rows: out.Rows})
		if len(out.Problems) > 0 {
			problems[owner] = out.Problems
		}
	}
	s.stats.Compiled.Add(uint64(len(owners)))
	return wants, groups
}

// divide applies the parts of a transaction that was refused: first who was only gathered, then each half of the owners. A
// group that comes before its Pod leaves it out, and is gathered again with it.
func (s *session) divide(ctx context.Context, owners []nb.Owner, wants []nb.Want) error {
	var gathered []nb.Owner
	for _, w := range wants {
		if !slices.Contains(owners, w.Owner) {
			gathered = append(gathered, w.Owner)
		}
	}
	slices.SortStableFunc(owners, groupsFirst)
	parts := [][]nb.Owner{gathered}
	if half := len(owners) / 2; half > 0 {
		parts = append(parts, owners[:half], owners[half:])
	}
	for _, part := range parts {
		if err := s.apply(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// groupsFirst orders groups before the Pods in them.
func groupsFirst(a, b nb.Owner) int {
	later := func(o nb.Owner) int {
		if o.Kind == state.KindGroup {
			return 0
		}
		return 1
	}
	return cmp.Compare(later(a), later(b))
}
