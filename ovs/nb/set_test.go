package nb_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/heddle-net/heddle/ovs/nb"
)

// TestSet grows and shrinks sets at random and compares each version, and each difference, with plain maps. Versions that
// were kept stay as they were.
func TestSet(t *testing.T) {
	type version struct {
		set  *nb.Set
		want map[string]bool
	}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 7))
		var set *nb.Set
		want := make(map[string]bool)
		kept := []version{{set, maps.Clone(want)}}
		space := 1 + r.IntN(3000)
		for range 2000 {
			member := fmt.Sprintf("10.16.%d", r.IntN(space))
			if r.IntN(3) == 0 {
				set = set.Without(member)
				delete(want, member)
			} else {
				set = set.With(member)
				want[member] = true
			}
			if set.Has(member) != want[member] {
				t.Fatalf("seed %d: Has(%s) is %v", seed, member, set.Has(member))
			}
			if r.IntN(100) == 0 {
				kept = append(kept, version{set, maps.Clone(want)})
			}
		}
		for _, v := range kept {
			if got := slices.Collect(v.set.All()); !slices.Equal(got, slices.Sorted(maps.Keys(v.want))) || v.set.Len() != len(v.want) {
				t.Fatalf("seed %d: a version of %d members has %d", seed, len(v.want), len(got))
			}
			checkDiff(t, v.set, set, v.want, want)
			checkDiff(t, set, v.set, want, v.want)
			checkDiff(t, v.set, nb.SetOf(slices.Collect(maps.Keys(want))...), v.want, want)
		}
	}
}

func checkDiff(t *testing.T, from, to *nb.Set, have, want map[string]bool) {
	t.Helper()
	drop, add := nb.Diff(from, to)
	result := maps.Clone(have)
	for _, m := range drop {
		if !result[m] || want[m] {
			t.Fatalf("%s must not be dropped", m)
		}
		delete(result, m)
	}
	for _, m := range add {
		if have[m] {
			t.Fatalf("%s was there", m)
		}
		result[m] = true
	}
	if !maps.Equal(result, want) {
		t.Fatalf("the difference leads to %d members, want %d", len(result), len(want))
	}
}

// BenchmarkSet is one member more in a set of 10,000, and the difference of the two versions.
func BenchmarkSet(b *testing.B) {
	members := make([]string, 10_000)
	for i := range members {
		members[i] = fmt.Sprintf("10.16.%d.%d", i>>8, i&255)
	}
	set := nb.SetOf(members...)
	b.ReportAllocs()
	for b.Loop() {
		next := set.With("10.16.20.x")
		if _, add := nb.Diff(set, next); len(add) != 1 {
			b.Fatal(add)
		}
	}
}
