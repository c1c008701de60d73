package compile

import (
	"net/netip"
	"slices"
)

// without is a prefix less others: the few prefixes that cover what is left, in order.
func without(prefix netip.Prefix, holes []netip.Prefix) []netip.Prefix {
	left := []netip.Prefix{prefix}
	for _, hole := range holes {
		left = subtract(left, hole)
	}
	slices.SortFunc(left, netip.Prefix.Compare)
	return left
}

func subtract(list []netip.Prefix, hole netip.Prefix) (left []netip.Prefix) {
	for _, p := range list {
		switch {
		case !p.Overlaps(hole):
			left = append(left, p)
		case hole.Bits() > p.Bits(): // the other half of each step on the way from p to the hole
			for bits := p.Bits() + 1; bits <= hole.Bits(); bits++ {
				left = append(left, sibling(hole.Addr(), bits))
			}
		}
	}
	return left
}

// sibling is the prefix that differs from the address's own in its last bit.
func sibling(a netip.Addr, bits int) netip.Prefix {
	raw := a.AsSlice()
	raw[(bits-1)/8] ^= 1 << (7 - (bits-1)%8)
	flipped, _ := netip.AddrFromSlice(raw)
	return netip.PrefixFrom(flipped, bits).Masked()
}

// merge drops what others contain, and sorts.
func merge(list []netip.Prefix) (merged []netip.Prefix) {
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	for _, p := range list {
		if n := len(merged); n == 0 || !merged[n-1].Overlaps(p) {
			merged = append(merged, p)
		}
	}
	return merged
}
