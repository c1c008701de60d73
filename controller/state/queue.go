package state

import (
	"slices"

	"github.com/heddle-net/heddle/ovs/nb"
)

// bulkSize is the number of owners from which a change goes to the bulk lane: it may be split there, and new Pods pass it.
const bulkSize = 100

// queue holds the owners that must be compiled again. The owners that one event made dirty are a set that is taken out as
// a whole, so that they commit in one transaction.
type queue struct {
	fast [][]nb.Owner
	// waiting counts the fast sets an owner is in.
	waiting map[nb.Owner]int
	bulk    []nb.Owner
	inBulk  map[nb.Owner]bool
	wake    chan struct{}
}

func newQueue() *queue {
	return &queue{waiting: make(map[nb.Owner]int), inBulk: make(map[nb.Owner]bool), wake: make(chan struct{}, 1)}
}

func (q *queue) add(set []nb.Owner) {
	defer q.signal()
	if len(set)-groupsIn(set) >= bulkSize {
		q.addBulk(set)
		return
	}
	// A set that is alone and waits already will see the new state when its turn comes.
	if len(set) == 0 || len(set) == 1 && q.waiting[set[0]] > 0 {
		return
	}
	if slices.ContainsFunc(q.fast, func(other []nb.Owner) bool { return len(set) > 1 && slices.Equal(set, other) }) {
		return
	}
	q.fast = append(q.fast, set)
	for _, o := range set {
		q.waiting[o]++
	}
}

// groupsIn counts groups: however many a Pod joins, it joins them at once.
func groupsIn(set []nb.Owner) (n int) {
	for _, o := range set {
		if o.Kind == KindGroup {
			n++
		}
	}
	return n
}

func (q *queue) addBulk(set []nb.Owner) {
	for _, o := range set {
		if !q.inBulk[o] {
			q.inBulk[o] = true
			q.bulk = append(q.bulk, o)
		}
	}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take removes whole sets from the fast lane until it has limit owners or more, or a part of the bulk lane when the fast
// lane is empty.
func (q *queue) take(limit int) (owners []nb.Owner, fast bool) {
	if owners = q.takeFast(limit); len(owners) > 0 {
		return owners, true
	}
	return q.takeBulk(limit), false
}

func (q *queue) takeFast(limit int) []nb.Owner {
	var owners []nb.Owner
	seen := make(map[nb.Owner]bool)
	n := 0
	for ; n < len(q.fast) && len(owners) < limit; n++ {
		for _, o := range q.fast[n] {
			if q.waiting[o]--; q.waiting[o] == 0 {
				delete(q.waiting, o)
			}
			if !seen[o] {
				seen[o] = true
				owners = append(owners, o)
			}
		}
	}
	q.fast = q.fast[n:]
	return owners
}

func (q *queue) takeBulk(limit int) []nb.Owner {
	n := min(limit, len(q.bulk))
	owners := slices.Clone(q.bulk[:n])
	q.bulk = q.bulk[n:]
	for _, o := range owners {
		delete(q.inBulk, o)
	}
	return owners
}

// Mark makes owners dirty by hand, as one change: after a restart, when a row has been changed by somebody else, when
// what an owner waited for is there.
func (s *Store) Mark(owners ...nb.Owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.add(slices.SortedFunc(slices.Values(owners), nb.Owner.Compare))
}

// MarkBulk makes owners dirty without keeping them together, behind everything else.
func (s *Store) MarkBulk(owners ...nb.Owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.addBulk(owners)
	s.queue.signal()
}

// Dirty receives a value when owners wait.
func (s *Store) Dirty() <-chan struct{} { return s.queue.wake }

// Take removes about limit owners that wait, never less than one whole change; none when nothing waits. It also tells
// whether an event made them dirty, or MarkBulk.
func (s *Store) Take(limit int) (owners []nb.Owner, event bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.take(limit)
}

// TakeAll removes all owners that wait, some of them perhaps twice.
func (s *Store) TakeAll() []nb.Owner {
	s.mu.Lock()
	defer s.mu.Unlock()
	owners := slices.Concat(append(s.queue.fast, s.queue.bulk)...)
	s.queue.fast, s.queue.bulk = nil, nil
	clear(s.queue.waiting)
	clear(s.queue.inBulk)
	return owners
}

// Waiting counts the owners that wait, for metrics.
func (s *Store) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue.waiting) + len(s.queue.bulk)
}
