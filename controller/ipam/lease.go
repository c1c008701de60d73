package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Lease is what one owner holds in one Subnet: at most one address of each family, and a MAC in the form
// "0a:58:0a:10:00:02".
type Lease struct {
	V4, V6 netip.Addr
	MAC    string
}

// Addrs returns the valid addresses, IPv4 first.
func (l Lease) Addrs() []netip.Addr {
	var addrs []netip.Addr
	for f := IPv4; f <= IPv6; f++ {
		if a := *l.addr(f); a.IsValid() {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

func (l *Lease) addr(f Family) *netip.Addr {
	if f == IPv4 {
		return &l.V4
	}
	return &l.V6
}

// Request is what an owner asks for. The zero Request asks for what it already holds, or, when it holds nothing, for an
// address of each family of the Subnet.
type Request struct {
	Families []Family     // these must be in the lease
	Static   []netip.Addr // these too; at most one of each family
	MAC      string       // in any form that net.ParseMAC reads; "" leaves it to the pool
}

// Acquire gives owner what it asks for, or changes nothing and returns a *ConflictError, *ExhaustedError, *OutsideError,
// *ReservedError or *RequestError.
//
// An owner that asks again gets what it holds. If it asks for another static address (or MAC), it moves: the new one is
// taken and the old one released in one step. What it holds in the other family stays.
func (p *Pool) Acquire(owner string, req Request) (Lease, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if owner == "" {
		return Lease{}, errNoOwner
	}
	held := p.leases[owner]
	want, err := p.plan(owner, held, req)
	if err != nil {
		return Lease{}, err
	}
	p.commit(owner, held, want)
	return want, nil
}

// Hold records what an IP object says, at start and for objects made by hand. Unlike Acquire it accepts gateways and
// picks no address, and it holds all it can: after an error (errors.Join of what Acquire returns) the addresses that nobody
// else holds are held all the same, lest they be given to somebody else while the owner may still use them. A lease
// whose MAC was in conflict has none until the next Acquire.
func (p *Pool) Hold(owner string, addrs []netip.Addr, mac string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if owner == "" {
		return errNoOwner
	}
	held := p.leases[owner]
	want := held
	var named [2]bool
	var errs []error
	for _, a := range addrs {
		errs = append(errs, p.claim(owner, a, &want, &named))
	}
	if len(want.Addrs()) > 0 {
		var err error
		want.MAC, err = p.pickMAC(owner, held, want, mac)
		errs = append(errs, err)
		p.commit(owner, held, want)
	}
	return errors.Join(errs...)
}

// Release frees all that owner holds and tells whether that was anything. The addresses go to the back of the queue.
func (p *Pool) Release(owner string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	held, ok := p.leases[owner]
	p.commit(owner, held, Lease{})
	return ok
}

// plan answers a request without changing anything.
func (p *Pool) plan(owner string, held Lease, req Request) (Lease, error) {
	want := held
	var named [2]bool
	for _, a := range req.Static {
		if err := p.claim(owner, a, &want, &named); err != nil {
			return Lease{}, err
		}
		if use, special := p.families[FamilyOf(a)].special[a]; special && a != *held.addr(FamilyOf(a)) {
			return Lease{}, &ReservedError{Addr: a, Use: use}
		}
	}
	for _, f := range p.missing(want, held, req) {
		a, err := p.next(f)
		if err != nil {
			return Lease{}, err
		}
		*want.addr(f) = a
	}
	mac, err := p.pickMAC(owner, held, want, req.MAC)
	want.MAC = mac
	return want, err
}

// claim puts a into want if owner can have it. The families that it fills are marked as named.
func (p *Pool) claim(owner string, a netip.Addr, want *Lease, named *[2]bool) error {
	kind := FamilyOf(a)
	f := p.families[kind]
	if f == nil || !f.cidr.Contains(a) {
		return &OutsideError{Addr: a, CIDRs: p.config.CIDRs}
	}
	if named[kind] {
		return &RequestError{fmt.Sprintf("two %s addresses: %s and %s", kind, *want.addr(kind), a)}
	}
	if holder, held := f.holders[a]; held && holder != owner {
		return &ConflictError{Addr: a, Holder: holder}
	}
	*want.addr(kind), named[kind] = a, true
	return nil
}

func (p *Pool) next(f Family) (netip.Addr, error) {
	if p.families[f] == nil {
		return netip.Addr{}, &RequestError{fmt.Sprintf("the subnet has no %s CIDR", f)}
	}
	return p.families[f].next()
}

// missing are the families in which want needs an address yet.
func (p *Pool) missing(want, held Lease, req Request) []Family {
	needed := req.Families
	if needed == nil && len(held.Addrs()) == 0 {
		for i, f := range p.families {
			if f != nil {
				needed = append(needed, Family(i))
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(needed), func(f Family) bool { return want.addr(f).IsValid() })
}

// pickMAC returns the MAC asked for, else the one held, else a derived one. One that was held with an address that is now
// given up goes with it.
func (p *Pool) pickMAC(owner string, held, want Lease, asked string) (string, error) {
	if asked != "" {
		mac, err := parseMAC(asked)
		if err != nil {
			return "", err
		}
		if holder, taken := p.macs[mac]; taken && holder != owner {
			return "", &ConflictError{MAC: mac, Holder: holder}
		}
		return mac, nil
	}
	moved := held.V4.IsValid() && held.V4 != want.V4 || held.V6.IsValid() && held.V6 != want.V6
	if held.MAC != "" && !moved {
		return held.MAC, nil
	}
	for n := uint32(0); ; n++ { // ends: each turn tries another MAC
		mac := derivedMAC(want.V4, want.V6, n)
		if holder, taken := p.macs[mac]; !taken || holder == owner {
			return mac, nil
		}
	}
}

// commit makes owner hold exactly want. It cannot fail.
func (p *Pool) commit(owner string, held, want Lease) {
	for i, f := range p.families {
		from, to := *held.addr(Family(i)), *want.addr(Family(i))
		if from == to {
			continue
		}
		if from.IsValid() {
			f.release(from)
		}
		if to.IsValid() {
			f.take(owner, to)
		}
	}
	if held.MAC != want.MAC {
		delete(p.macs, held.MAC)
	}
	if want.MAC != "" {
		p.macs[want.MAC] = owner
	}
	if want == (Lease{}) {
		delete(p.leases, owner)
		return
	}
	p.leases[owner] = want
}
