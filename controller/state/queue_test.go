package state_test

import (
	"fmt"
	"testing"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
)

func some(kind string, n int) []nb.Owner {
	owners := make([]nb.Owner, n)
	for i := range owners {
		owners[i] = nb.Owner{Kind: kind, Key: fmt.Sprintf("%03d", i)}
	}
	return owners
}

// TestChangeStaysTogether shows that the owners of one change are taken as a whole, however small the limit.
func TestChangeStaysTogether(t *testing.T) {
	s := newStore()
	a := some("a", 5)
	s.Mark(a[4], a[0], a[2])
	s.Mark(a[1])
	s.Mark(a[3], a[0]) // a[0] is in two changes, and each of them needs it
	expect(t, s, "one by one", "a/000 a/002 a/004\na/001\na/000 a/003")

	s.Mark(a[0], a[1])
	s.Mark(a[1], a[2])
	if got, _ := s.Take(10); fmt.Sprint(got) != "[a/000 a/001 a/002]" {
		t.Errorf("two changes at once: %v", got)
	}
	expect(t, s, "after it", "")
}

// TestTakeStopsAtTheLimit shows that a change that is not needed to reach the limit stays.
func TestTakeStopsAtTheLimit(t *testing.T) {
	s := newStore()
	for _, o := range some("a", 10) {
		s.Mark(o)
	}
	for _, want := range []int{4, 4, 2, 0} {
		if got, _ := s.Take(4); len(got) != want {
			t.Errorf("took %d, want %d", len(got), want)
		}
	}
}

func TestDuplicatesMerge(t *testing.T) {
	s := newStore()
	a := some("a", 3)
	s.Mark(a[0])
	s.Mark(a[0])
	s.Mark(a[0], a[1])
	s.Mark(a[0], a[1])
	s.Mark(a[1])
	s.Mark()
	if n := s.Waiting(); n != 2 {
		t.Errorf("%d owners wait, want 2", n)
	}
	expect(t, s, "what is alone and waits in another change", "a/000\na/000 a/001")
	s.Mark(a[0])
	expect(t, s, "what was taken can wait again", "a/000")
	s.Mark(a[0], a[1])
	s.Mark(a[0], a[2])
	s.Take(1)
	s.Mark(a[0])
	expect(t, s, "what waits in a second change still waits", "a/000 a/002")
	s.MarkBulk(a[0], a[1])
	s.MarkBulk(a[1], a[2])
	if n := s.Waiting(); n != 3 {
		t.Errorf("%d owners wait, want 3", n)
	}
	expect(t, s, "bulk", "a/000\na/001\na/002")
	s.MarkBulk(a[1])
	expect(t, s, "bulk again", "a/001")
	if n := s.Waiting(); n != 0 {
		t.Errorf("%d owners wait, want 0", n)
	}
}

// TestLanes shows that new changes pass those that wait in bulk, and that a large change goes there.
func TestLanes(t *testing.T) {
	s := newStore()
	s.MarkBulk(some("bulk", 3)...)
	s.Mark(some("large", 100)...)
	s.Mark(some("small", 99)...)
	got, event := s.Take(10)
	if len(got) != 99 || got[0].Kind != "small" || !event {
		t.Errorf("first %d of %s, by an event: %t", len(got), got[0].Kind, event)
	}
	got, event = s.Take(10)
	if len(got) != 10 || got[0].Kind != "bulk" || got[3].Kind != "large" || event {
		t.Errorf("then %v, by an event: %t", got, event)
	}
	s.Mark(owner("pod/ns/new"))
	if got, event = s.Take(10); len(got) != 1 || got[0].Key != "ns/new" || !event {
		t.Errorf("a new one does not pass: %v", got)
	}
	left := 0
	for {
		got, event = s.Take(30)
		if len(got) == 0 {
			break
		}
		left += len(got)
	}
	if left != 93 || event {
		t.Errorf("%d are left, want 93", left)
	}
}

// TestDirtyWakes shows that whoever waits is woken, once, by each way in, and not when nothing changed.
func TestDirtyWakes(t *testing.T) {
	s := newStore()
	woken := func() bool {
		select {
		case <-s.Dirty():
			return true
		default:
			return false
		}
	}
	if woken() {
		t.Error("woken by nothing")
	}
	ways := map[string]func(){
		"a change":  func() { s.Pods.Put("ns/p", &state.Pod{Name: "p"}) },
		"a removal": func() { s.Pods.Delete("ns/p") },
		"by hand":   func() { s.Mark(owner("pod/ns/p")) },
		"in bulk":   func() { s.MarkBulk(owner("pod/ns/p")) },
	}
	for _, name := range []string{"a change", "a removal", "by hand", "in bulk"} {
		ways[name]()
		ways[name]()
		if !woken() || woken() {
			t.Errorf("%s: not woken once", name)
		}
	}
	if s.Pods.Delete("gone"); woken() {
		t.Error("woken by the removal of nothing")
	}
}
