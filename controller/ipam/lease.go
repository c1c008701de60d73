package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Lease is what one owner holds in one Subnet: a MAC, and at most one address of each family.
type Lease struct {
	V4, V6 netip.Addr
	MAC    MAC
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
	MAC      string       // read by ParseMAC; "" leaves it to the pool
}

// Serves tells whether the lease has all that the request names.
func (l Lease) Serves(req Request) bool {
	for _, a := range req.Static {
		if *l.addr(FamilyOf(a)) != a {
			return false
		}
	}
	mac, err := ParseMAC(req.MAC)
	return req.MAC == "" || err == nil && mac == l.MAC
}

// holding is a Lease with its owner. The maps of a Pool share one for each owner.
type holding struct {
	owner string
	Lease
}

// others tells whether somebody else than owner has h; nobody has nil.
func (h *holding) others(owner string) bool { return h != nil && h.owner != owner }

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
	want, err := p.plan(owner, p.held(owner), req)
	if err != nil {
		return Lease{}, err
	}
	p.commit(owner, want)
	return want, nil
}

// Hold records what an IP object says, at start and for objects made by hand. Unlike Acquire it accepts gateways and
// picks no address, and it holds all it can: after an error (errors.Join of what Acquire returns) the addresses that nobody
// else holds are held all the same, lest they be given to somebody else while the owner may still use them. A lease
// whose MAC could not be held has none until the next Acquire.
func (p *Pool) Hold(owner string, addrs []netip.Addr, mac string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if owner == "" {
		return errNoOwner
	}
	held := p.held(owner)
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
		p.commit(owner, want)
	}
	return errors.Join(errs...)
}

// Keep holds the addresses of an owner that nobody accounts for, lest somebody else gets them, and changes nothing that is
// held: false says that the owner holds something else, or somebody else one of these. What lies outside of the CIDRs needs
// no keeping.
func (p *Pool) Keep(owner string, addrs []netip.Addr, mac string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := p.held(owner)
	want := held
	var named [2]bool
	for _, a := range addrs {
		if err := p.claim(owner, a, &want, &named); err != nil && !errors.As(err, new(*OutsideError)) {
			return false
		}
	}
	if held != (Lease{}) || len(want.Addrs()) == 0 {
		return held == want
	}
	var err error
	if want.MAC, err = p.pickMAC(owner, held, want, mac); err != nil {
		return false
	}
	p.commit(owner, want)
	return true
}

// Release frees all that owner holds and tells whether that was anything. The addresses go to the back of the queue.
func (p *Pool) Release(owner string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.leases[owner]
	p.commit(owner, Lease{})
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
	for f := IPv4; f <= IPv6; f++ {
		if want.addr(f).IsValid() || !p.needs(f, held, req) {
			continue
		}
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
	if h := f.holders[a]; h.others(owner) {
		return &ConflictError{Addr: a, Holder: h.owner}
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

func (p *Pool) needs(f Family, held Lease, req Request) bool {
	if len(req.Families) > 0 {
		return slices.Contains(req.Families, f)
	}
	return held == (Lease{}) && p.families[f] != nil
}

// pickMAC returns the MAC asked for, else the one held, else a derived one. One that was held with an address that is now
// given up goes with it.
func (p *Pool) pickMAC(owner string, held, want Lease, asked string) (MAC, error) {
	if asked != "" {
		mac, err := ParseMAC(asked)
		if err != nil {
			return MAC{}, err
		}
		if mac == p.config.GatewayMAC() && mac != held.MAC {
			return MAC{}, &RequestError{fmt.Sprintf("MAC %s is the subnet's gateway's", mac)}
		}
		if h := p.macs[mac]; h.others(owner) {
			return MAC{}, &ConflictError{MAC: mac, Holder: h.owner}
		}
		return mac, nil
	}
	moved := held.V4.IsValid() && held.V4 != want.V4 || held.V6.IsValid() && held.V6 != want.V6
	if held.MAC != (MAC{}) && !moved {
		return held.MAC, nil
	}
	preferred := DefaultMAC(want.V4, want.V6)
	for n := uint32(0); ; n++ { // ends, for there are more MACs than owners
		mac := preferred.alternative(n)
		if !p.macs[mac].others(owner) && mac != p.config.GatewayMAC() {
			return mac, nil
		}
	}
}

// commit makes owner hold exactly want. It cannot fail.
func (p *Pool) commit(owner string, want Lease) {
	h := p.leases[owner]
	if h == nil {
		h = &holding{owner: owner}
		p.leases[owner] = h
	}
	for i, f := range p.families {
		from, to := *h.addr(Family(i)), *want.addr(Family(i))
		if from == to {
			continue
		}
		if from.IsValid() {
			f.release(from)
		}
		if to.IsValid() {
			f.take(h, to)
		}
	}
	if h.MAC != want.MAC {
		delete(p.macs, h.MAC)
	}
	if want.MAC != (MAC{}) {
		p.macs[want.MAC] = h
	}
	if h.Lease = want; want == (Lease{}) {
		delete(p.leases, owner)
	}
}
