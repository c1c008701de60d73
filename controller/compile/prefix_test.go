package compile

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// TestWithout compares what is left of a small range with what each of its addresses says.
func TestWithout(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, base := range []netip.Addr{netip.MustParseAddr("10.0.0.0"), netip.MustParseAddr("fd00::")} {
		for range 500 {
			short := func(within int) netip.Prefix {
				raw := base.AsSlice()
				raw[len(raw)-1] = byte(r.IntN(256))
				a, _ := netip.AddrFromSlice(raw)
				return netip.PrefixFrom(a, base.BitLen()-r.IntN(within+1)).Masked()
			}
			whole, holes := short(8), []netip.Prefix{short(6), short(4), short(2)}[:r.IntN(4)]
			left := without(whole, holes)
			a := netip.PrefixFrom(base, base.BitLen()-8).Masked().Addr()
			for range 256 {
				contains := func(p netip.Prefix) bool { return p.Contains(a) }
				if want := whole.Contains(a) && !slices.ContainsFunc(holes, contains); slices.ContainsFunc(left, contains) != want {
					t.Fatalf("%s less %s is %s: %s is in it: %t", whole, holes, left, a, !want)
				}
				a = a.Next()
			}
			for i, p := range left {
				for _, q := range left[i+1:] {
					if p.Overlaps(q) {
						t.Fatalf("%s less %s is %s, some of it twice", whole, holes, left)
					}
				}
			}
		}
	}
	if left := without(netip.MustParsePrefix("0.0.0.0/0"), []netip.Prefix{netip.MustParsePrefix("169.254.169.254/32")}); len(left) != 32 {
		t.Errorf("all less one address is %d prefixes, want 32", len(left))
	}
}
