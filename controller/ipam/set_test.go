package ipam

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// wellFormed holds what Set's documentation says of its ranges and chunks.
func wellFormed(s *Set) error {
	var before Range
	for i, chunk := range s.chunks {
		if len(chunk) == 0 || len(chunk) > chunkSize {
			return fmt.Errorf("chunk %d has %d ranges", i, len(chunk))
		}
		for _, r := range chunk {
			if err := r.validate(); err != nil {
				return err
			}
			if before.Last.IsValid() && r.First.Compare(before.Last.Next()) <= 0 {
				return fmt.Errorf("%s and %s overlap or touch", before, r)
			}
			before = r
		}
	}
	return nil
}

const universe = 1 << 12 // more than chunkSize² / 8: enough for several levels of splits and joins

// bitmap is a Set as one would write it with a list.
type bitmap struct {
	base netip.Addr
	in   [universe]bool
}

func (b *bitmap) list() (addrs []netip.Addr) {
	for i, in := range b.in {
		if in {
			addrs = append(addrs, plus(b.base, uint64(i)))
		}
	}
	return addrs
}

// replaySet runs operations on a Set and on the bitmap. The universes lie at the ends of both families, where Prev and
// Next have no answer, and in their midst.
func replaySet(t *testing.T, bytes []byte) {
	d := &tape{bytes}
	bases := []string{"0.0.0.0", "10.0.0.0", "255.255.240.0", "::", "fd00::ffff:ffff:ffff:f000", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:f000"}
	b := &bitmap{base: netip.MustParseAddr(bases[d.pick(len(bases))])}
	s := &Set{}
	for len(d.bytes) > 0 {
		op := d.byte()
		from := (int(d.byte())<<8 | int(d.byte())) % universe
		to := min(from+int(d.byte())<<(op>>6), universe-1)
		step := 1 + int(op>>3&3)
		if step > 1 || from == to { // single addresses, to make many ranges
			for i := from; i <= to; i += step {
				edit(s, b, op, i, i)
			}
		} else {
			edit(s, b, op, from, to)
		}
		if err := wellFormed(s); err != nil {
			t.Fatal(err)
		}
	}
	compareSet(t, s, b)
}

func edit(s *Set, b *bitmap, op byte, from, to int) {
	r := Range{First: plus(b.base, uint64(from)), Last: plus(b.base, uint64(to))}
	add := op&1 == 0
	if add {
		s.Add(r)
	} else {
		s.Remove(r)
	}
	for i := from; i <= to; i++ {
		b.in[i] = add
	}
}

func compareSet(t *testing.T, s *Set, b *bitmap) {
	t.Helper()
	list := b.list()
	if s.String() != listing(list) {
		t.Fatalf("got %s\nwant %s", s, listing(list))
	}
	if s.Count().Int64() != int64(len(list)) {
		t.Fatalf("count %s, want %d", s.Count(), len(list))
	}
	if a, ok := s.Min(); ok != (len(list) > 0) || ok && a != list[0] {
		t.Fatalf("min %s", a)
	}
	for i, in := range b.in {
		if a := plus(b.base, uint64(i)); s.Contains(a) != in {
			t.Fatalf("contains %s: %v", a, !in)
		}
	}
	for i := 0; i < len(list); i += 1 + len(list)/16 {
		if a, ok := s.Nth(uint64(i)); !ok || a != list[i] {
			t.Fatalf("address %d is %s, want %s", i, a, list[i])
		}
	}
	if a, ok := s.Nth(uint64(len(list))); ok {
		t.Fatalf("address %d of %d: %s", len(list), len(list), a)
	}
	c := s.Clone()
	c.Remove(Range{First: b.base, Last: plus(b.base, universe-1)})
	if c.String() != "" || s.String() != listing(list) {
		t.Fatal("a clone shares with its origin")
	}
}

func TestSetAlgebra(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		bytes := make([]byte, 1+4*rng.IntN(200))
		for i := range bytes {
			bytes[i] = byte(rng.Uint32())
		}
		replaySet(t, bytes)
	}
}

func FuzzSetAlgebra(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 5, 1, 0, 2, 1})
	f.Add([]byte{3, 0x50, 0, 0, 255, 0x50, 8, 0, 255, 1, 0, 100, 255, 0, 0, 0, 255})
	f.Fuzz(func(t *testing.T, bytes []byte) {
		if len(bytes) < 1000 {
			replaySet(t, bytes)
		}
	})
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"10.0.0.1", "10.0.0.1..10.0.0.9", "10.0.0.0/8", "fd00::1..fd00::9", "::/0", " a..b ", "fe80::%e/64", "::/80", "::fffe:0:0/95"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRange(s)
		if err != nil {
			return
		}
		if err := r.validate(); err != nil {
			t.Fatal(err)
		}
		if again, err := ParseRange(r.String()); err != nil || again != r {
			t.Fatalf("%q reads as %s, which reads as %s, %v", s, r, again, err)
		}
		set := NewSet(r)
		if !set.Contains(r.First) || !set.Contains(r.Last) || set.Count().Sign() <= 0 {
			t.Fatalf("%s is not in its own set", r)
		}
		set.Remove(r)
		if set.Count().Sign() != 0 {
			t.Fatalf("%s leaves %s", r, set)
		}
	})
}

// TestBeyond64Bits counts and indexes where the halves of an IPv6 address carry and borrow.
func TestBeyond64Bits(t *testing.T) {
	for text, want := range map[string]string{
		"::/0":      "340282366920938463463374607431768211456",
		"fd00::/64": "18446744073709551616",
		"fd00:0:0:1:ffff:ffff:ffff:fff0..fd00:0:0:2::f": "32",
		"10.0.0.0/8": "16777216",
	} {
		r, err := ParseRange(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := NewSet(r).Count().String(); got != want {
			t.Errorf("%s has %s addresses, want %s", text, got, want)
		}
	}
	r, _ := ParseRange("fd00:0:0:1:ffff:ffff:ffff:fff0..fd00:0:0:2::f")
	if a, ok := NewSet(r).Nth(31); !ok || a != r.Last {
		t.Errorf("address 31 of %s is %s", r, a)
	}
}

// TestShrunkSetIsSmall: chunks that lose their ranges are joined.
func TestShrunkSetIsSmall(t *testing.T) {
	s, base := NewSet(), netip.MustParseAddr("10.0.0.0")
	for i := range uint64(10_000) {
		s.Add(single(plus(base, 2*i)))
	}
	for i := range uint64(10_000) {
		if i%100 != 0 {
			s.Remove(single(plus(base, 2*i)))
		}
	}
	if len(s.chunks) > 10 {
		t.Errorf("%d chunks for 100 ranges", len(s.chunks))
	}
}

func TestTextIsCutBetweenRanges(t *testing.T) {
	s := NewSet()
	for _, text := range []string{"10.0.0.2..10.0.0.9", "10.0.0.12", "10.0.0.14"} {
		r, _ := ParseRange(text)
		s.Add(r)
	}
	for limit, want := range map[int]string{
		len("10.0.0.2-10.0.0.9,10.0.0.12,10.0.0.14"):     "10.0.0.2-10.0.0.9,10.0.0.12,10.0.0.14",
		len("10.0.0.2-10.0.0.9,10.0.0.12,10.0.0.14") - 1: "10.0.0.2-10.0.0.9,10.0.0.12,...",
		len("10.0.0.2-10.0.0.9,10.0.0.12"):               "10.0.0.2-10.0.0.9,10.0.0.12,...",
		len("10.0.0.2-10.0.0.9"):                         "10.0.0.2-10.0.0.9,...",
		3:                                                "...",
	} {
		if got := s.Text(limit); got != want {
			t.Errorf("limit %d: %q, want %q", limit, got, want)
		}
	}
}

func TestSetIsNormal(t *testing.T) {
	var ranges []Range
	for i := range uint64(1000) {
		ranges = append(ranges, single(plus(netip.MustParseAddr("10.0.0.0"), i)))
	}
	rng := rand.New(rand.NewPCG(1, 1))
	rng.Shuffle(len(ranges), func(i, j int) { ranges[i], ranges[j] = ranges[j], ranges[i] })
	if got := slices.Collect(NewSet(ranges...).All()); len(got) != 1 || got[0].String() != "10.0.0.0..10.0.3.231" {
		t.Errorf("got %v", got)
	}
}
