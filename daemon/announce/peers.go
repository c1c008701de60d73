package announce

import (
	"sync"
	"time"
)

// Peers knows which nodes live, by their Leases as a watch tells of them. The zero Peers is empty and ready.
type Peers struct {
	mu     sync.Mutex
	leases map[string]seen
}

// seen is what is known of one Lease.
type seen struct {
	Lease
	at time.Time // when it was seen to change
}

// Lease is what a node says of itself.
type Lease struct {
	Held     bool          // false: it has stopped by itself
	Renewed  string        // different after each renewal
	Patience time.Duration // for how long it counts as alive without a renewal
}

// Put is told of a Lease.
func (p *Peers) Put(node string, l Lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leases == nil {
		p.leases = map[string]seen{}
	}
	if p.leases[node].Lease != l {
		p.leases[node] = seen{l, time.Now()}
	}
}

// Delete is told that a Lease is gone.
func (p *Peers) Delete(node string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.leases, node)
}

// stalled is after how long without news of its own Lease a node does not trust its watch any more.
const stalled = 2 * renewEvery

// alive tells which nodes live, as self sees it. A watch that does not even bring our own renewals says nothing about others:
// nobody is dead then who was not before.
func (p *Peers) alive(self string, now time.Time) func(node string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	trusted := now.Sub(p.leases[self].at) < stalled
	live := map[string]bool{}
	for node, s := range p.leases {
		live[node] = s.Held && (!trusted || now.Before(s.at.Add(s.Patience)))
	}
	return func(node string) bool { return node == self || live[node] }
}

// next is when the next node may count as dead.
func (p *Peers) next(now time.Time) (at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.leases {
		if end := s.at.Add(s.Patience); s.Held && end.After(now) && (at.IsZero() || end.Before(at)) {
			at = end
		}
	}
	return at
}
