package announce

import (
	"testing"
	"time"
)

// TestPeers: a node is dead when its Lease has not changed for as long as the Lease says, by our clock; but not while our own renewals
// do not come back to us, for then the others' would not either.
func TestPeers(t *testing.T) {
	var p Peers
	put := func(node, renewed string, held bool) {
		p.Put(node, Lease{Held: held, Renewed: renewed, Patience: patience})
	}
	put("other", "1", true)
	put("gone", "1", false)
	put("me", "1", true)
	began := time.Now()
	check := func(after time.Duration, node string, want bool) {
		t.Helper()
		if got := p.alive("me", began.Add(after))(node); got != want {
			t.Errorf("after %v, %s lives: %v, want %v", after, node, got, want)
		}
	}
	check(0, "other", true)
	check(0, "gone", false)
	check(0, "stranger", false)
	check(time.Hour, "me", true)
	check(patience+time.Second, "other", true) // nor have we heard of ourselves
	if at := p.next(began); at.Before(began) || at.After(began.Add(patience)) {
		t.Errorf("next is %v after", at.Sub(began))
	}
	p.leases["me"] = seen{p.leases["me"].Lease, began.Add(patience)} // heard of later
	check(patience-time.Second, "other", true)
	check(patience+time.Second, "other", false)
	p.leases["other"] = seen{p.leases["other"].Lease, began.Add(-time.Minute)}
	put("other", "1", true) // told again by a watch that begins anew
	check(patience+time.Second, "other", false)
	put("other", "2", true)
	check(patience-time.Second, "other", true)
	p.Delete("other")
	check(0, "other", false)
}
