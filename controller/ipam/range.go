package ipam

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
)

// Range is all addresses from First to Last, both included, of one family.
type Range struct{ First, Last netip.Addr }

// ParseRange reads "address", "first..last" or a CIDR, the forms of a Subnet's excludeIps and an IPPool's ips.
func ParseRange(s string) (Range, error) {
	first, last, isRange := strings.Cut(s, "..")
	switch {
	case isRange:
		return parseEnds(s, first, last)
	case strings.Contains(s, "/"):
		return parseCIDR(s)
	}
	a, err := parseAddr(s)
	if err != nil {
		return Range{}, fmt.Errorf("%w; want an address, first..last or a CIDR", err)
	}
	return single(a), nil
}

func parseEnds(s, first, last string) (r Range, err error) {
	if r.First, err = parseAddr(first); err != nil {
		return Range{}, fmt.Errorf("range %q: %w", s, err)
	}
	if r.Last, err = parseAddr(last); err != nil {
		return Range{}, fmt.Errorf("range %q: %w", s, err)
	}
	return r, r.validate()
}

func parseCIDR(s string) (Range, error) {
	p, err := netip.ParsePrefix(strings.TrimSpace(s))
	if err != nil {
		return Range{}, fmt.Errorf("%q is not a CIDR", s)
	}
	r := prefixRange(p)
	if p.Addr().Is4In6() || r.Last.Is4In6() { // ::/80 ends where the IPv4 addresses end
		return Range{}, fmt.Errorf("%q holds IPv4 addresses written as IPv6", s)
	}
	return r, nil
}

func parseAddr(s string) (netip.Addr, error) {
	s = strings.TrimSpace(s)
	switch a, err := netip.ParseAddr(s); {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("%q is not an IP address", s)
	case a.Zone() != "":
		return netip.Addr{}, fmt.Errorf("%q has a zone", s)
	case a.Is4In6():
		return netip.Addr{}, fmt.Errorf("%q is an IPv4 address written as IPv6", s)
	default:
		return a, nil
	}
}

func (r Range) validate() error {
	switch {
	case !r.First.IsValid() || !r.Last.IsValid():
		return fmt.Errorf("range %q: an end is missing", r)
	case r.First.BitLen() != r.Last.BitLen():
		return fmt.Errorf("range %q: mixes IPv4 and IPv6", r)
	case r.Last.Less(r.First):
		return fmt.Errorf("range %q: ends before it begins", r)
	}
	return nil
}

// String gives the form that ParseRange reads: "first..last", or one address.
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + ".." + r.Last.String()
}

func single(a netip.Addr) Range { return Range{First: a, Last: a} }

// prefixRange is every address of p, network and broadcast address included.
func prefixRange(p netip.Prefix) Range {
	first := p.Masked().Addr()
	raw := first.AsSlice()
	for bit := p.Bits(); bit < first.BitLen(); bit++ {
		raw[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(raw)
	return Range{First: first, Last: last}
}

// distance is Last - First as a 128-bit number. The count of addresses is one more, which for ::/0 would not fit.
func (r Range) distance() (hi, lo uint64) {
	firstHi, firstLo := words(r.First)
	lastHi, lastLo := words(r.Last)
	lo, borrow := bits.Sub64(lastLo, firstLo, 0)
	hi, _ = bits.Sub64(lastHi, firstHi, borrow)
	return hi, lo
}

// plus is the address n after a, which the caller knows to exist.
func plus(a netip.Addr, n uint64) netip.Addr {
	hi, lo := words(a)
	lo, carry := bits.Add64(lo, n, 0)
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], hi+carry)
	binary.BigEndian.PutUint64(raw[8:], lo)
	if a.Is4() {
		return netip.AddrFrom16(raw).Unmap()
	}
	return netip.AddrFrom16(raw)
}

func words(a netip.Addr) (hi, lo uint64) {
	raw := a.As16()
	return binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:])
}
