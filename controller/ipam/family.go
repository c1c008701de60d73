package ipam

import (
	"fmt"
	"net/netip"
)

// Family is IPv4 or IPv6.
type Family uint8

// The two families, in the order in which Kube-OVN writes dual-stack values.
const (
	IPv4 Family = iota
	IPv6
)

// String gives the name that a Subnet's spec.protocol uses.
func (f Family) String() string { return [...]string{"IPv4", "IPv6"}[f] }

// FamilyOf returns the family of a valid address.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// family is the part of a Pool with one CIDR. An address in it is in exactly one of: special, used, fresh, released, or
// excluded and not used. A used one may also be excluded, or special when it was held before the gateway came to it.
type family struct {
	cidr     netip.Prefix
	special  map[netip.Addr]string // given to nobody, and why
	excluded Set                   // given on request only
	used     Set
	fresh    Set
	released queue
	holders  map[netip.Addr]*holding
}

// newFamily expects a valid, masked CIDR.
func newFamily(cidr netip.Prefix) (*family, error) {
	all := prefixRange(cidr)
	if all.First == all.Last {
		return nil, fmt.Errorf("CIDR %s has a single address: no room for a gateway and a Pod", cidr)
	}
	f := &family{cidr: cidr, special: map[netip.Addr]string{}, holders: map[netip.Addr]*holding{}}
	f.fresh.Add(all)
	if all.First.Next() == all.Last {
		return f, nil // both addresses of a /31 and a /127 are usable: RFC 3021, RFC 6164
	}
	if all.First.Is4() {
		f.reserve(all.First, "network address")
		f.reserve(all.Last, "broadcast address")
	} else {
		f.reserve(all.First, "subnet-router anycast address") // RFC 4291, 2.6.1
	}
	return f, nil
}

func (f *family) reserve(a netip.Addr, why string) {
	f.special[a] = why
	f.fresh.Remove(single(a))
}

func (f *family) setGateway(a netip.Addr) error {
	if !f.cidr.Contains(a) {
		return fmt.Errorf("gateway %s is outside of CIDR %s", a, f.cidr)
	}
	if why, taken := f.special[a]; taken && why != "gateway" {
		return fmt.Errorf("gateway %s is the %s of CIDR %s", a, why, f.cidr)
	}
	f.reserve(a, "gateway")
	return nil
}

// useNode is why nobody gets the address of a node.
const useNode = "node"

// setNode keeps the address of a node; one that is nobody's anyway stays what it is.
func (f *family) setNode(a netip.Addr) {
	if _, taken := f.special[a]; !taken && f.cidr.Contains(a) {
		f.reserve(a, useNode)
	}
}

func (f *family) exclude(r Range) {
	f.excluded.Add(r)
	f.fresh.Remove(r)
}

// next is the address that an owner without a wish gets.
func (f *family) next() (netip.Addr, error) {
	if a, ok := f.fresh.Min(); ok {
		return a, nil
	}
	if a, ok := f.released.front(); ok {
		return a, nil
	}
	return netip.Addr{}, &ExhaustedError{Family: FamilyOf(f.cidr.Addr()), CIDR: f.cidr}
}

func (f *family) take(h *holding, a netip.Addr) {
	f.fresh.Remove(single(a))
	f.released.remove(a)
	f.used.Add(single(a))
	f.holders[a] = h
}

func (f *family) release(a netip.Addr) {
	f.used.Remove(single(a))
	delete(f.holders, a)
	if _, special := f.special[a]; special || f.excluded.Contains(a) {
		return
	}
	f.released.push(a)
	if oldest, _ := f.released.front(); len(f.released.ring) > queueLimit {
		f.released.remove(oldest)
		f.fresh.Add(single(oldest))
	}
}

// adopt brings the holders and the order of releases of the family's former self.
func (f *family) adopt(old *family) {
	for a, h := range old.holders {
		f.take(h, a)
	}
	for _, a := range old.released.ring {
		if a.IsValid() && f.fresh.Contains(a) {
			f.fresh.Remove(single(a))
			f.released.push(a)
		}
	}
}

// available is what next could still give, one after the other. It reads only what never changes, and used.
func (f *family) available(used *Set) *Set {
	s := NewSet(prefixRange(f.cidr))
	for a := range f.special {
		s.Remove(single(a))
	}
	for r := range f.excluded.All() {
		s.Remove(r)
	}
	for r := range used.All() {
		s.Remove(r)
	}
	return s
}
