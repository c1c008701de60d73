package ipam

import (
	"iter"
	"math/big"
	"net/netip"
	"slices"
	"sort"
	"strings"
)

// chunkSize bounds what an insertion moves. One flat slice would move a megabyte at 50,000 ranges.
const chunkSize = 128

// Set is a set of addresses of one family, kept as sorted ranges that neither overlap nor touch, so that equal sets
// have equal ranges. Its cost depends on the number of ranges, never on that of addresses. The zero Set is empty.
//
// The ranges lie in chunks: non-empty slices of up to chunkSize ranges, each chunk before the next.
type Set struct{ chunks [][]Range }

// NewSet returns the union of the ranges.
func NewSet(ranges ...Range) *Set {
	s := &Set{}
	for _, r := range ranges {
		s.Add(r)
	}
	return s
}

// Add puts all addresses of r into the set.
func (s *Set) Add(r Range) {
	from := s.seek(r.First.Prev()) // a range that ends just before r grows; Prev of the lowest address sorts first
	to := from
	merged := r
	for x, ok := s.at(to); ok && (x.First.Compare(r.Last) <= 0 || x.First == r.Last.Next()); x, ok = s.at(to) {
		if x.First.Less(merged.First) {
			merged.First = x.First
		}
		if merged.Last.Less(x.Last) {
			merged.Last = x.Last
		}
		to = s.next(to)
	}
	s.splice(from, to, merged)
}

// Remove takes all addresses of r out of the set.
func (s *Set) Remove(r Range) {
	from := s.seek(r.First)
	to := from
	var rest [2]Range // what stays of the first and the last range in the way
	n := 0
	for x, ok := s.at(to); ok && x.First.Compare(r.Last) <= 0; x, ok = s.at(to) {
		if x.First.Less(r.First) {
			rest[n] = Range{First: x.First, Last: r.First.Prev()}
			n++
		}
		if r.Last.Less(x.Last) {
			rest[n] = Range{First: r.Last.Next(), Last: x.Last}
			n++
		}
		to = s.next(to)
	}
	if from != to {
		s.splice(from, to, rest[:n]...)
	}
}

// Contains tells whether a is in the set.
func (s *Set) Contains(a netip.Addr) bool {
	r, ok := s.at(s.seek(a))
	return ok && r.First.Compare(a) <= 0
}

// Min returns the lowest address, or false when the set is empty.
func (s *Set) Min() (netip.Addr, bool) {
	r, ok := s.at(pos{})
	return r.First, ok
}

// All yields the ranges in ascending order.
func (s *Set) All() iter.Seq[Range] {
	return func(yield func(Range) bool) {
		for _, chunk := range s.chunks {
			for _, r := range chunk {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// Count returns the number of addresses; ::/0 has 2^128.
func (s *Set) Count() *big.Int {
	total, one := new(big.Int), new(big.Int)
	for r := range s.All() {
		hi, lo := r.distance()
		total.Add(total, one.SetUint64(lo))
		total.Add(total, one.Lsh(one.SetUint64(hi), 64))
		total.Add(total, one.SetUint64(1))
	}
	return total
}

// Nth returns the n-th lowest address, counted from 0.
func (s *Set) Nth(n uint64) (netip.Addr, bool) {
	for r := range s.All() {
		hi, lo := r.distance()
		if hi > 0 || n <= lo {
			return plus(r.First, n), true
		}
		n -= lo + 1
	}
	return netip.Addr{}, false
}

// Clone returns a copy that shares nothing with s.
func (s *Set) Clone() *Set {
	c := &Set{chunks: make([][]Range, len(s.chunks))}
	for i, chunk := range s.chunks {
		c.chunks[i] = slices.Clone(chunk)
	}
	return c
}

// String gives the form of a Subnet's status.v4usingIPrange: "10.16.0.2-10.16.0.9,10.16.0.12".
func (s *Set) String() string { return s.Text(int(^uint(0) >> 1)) }

// Text is String cut after the last range that fits into limit bytes, then ",..." when ranges are left out. A Subnet
// with 50,000 scattered addresses prints a megabyte, and etcd refuses objects over 1.5.
func (s *Set) Text(limit int) string {
	var text []byte
	for r := range s.All() {
		fits := len(text)
		if fits > 0 {
			text = append(text, ',')
		}
		text = r.First.AppendTo(text)
		if r.First != r.Last {
			text = r.Last.AppendTo(append(text, '-'))
		}
		if len(text) > limit {
			return strings.TrimPrefix(string(text[:fits])+",...", ",")
		}
	}
	return string(text)
}

// pos is the place of a range. The place after the last range is {len(chunks), 0}.
type pos struct{ chunk, index int }

// seek finds the first range that ends at a or after it.
func (s *Set) seek(a netip.Addr) pos {
	c := sort.Search(len(s.chunks), func(i int) bool {
		chunk := s.chunks[i]
		return !chunk[len(chunk)-1].Last.Less(a)
	})
	if c == len(s.chunks) {
		return pos{chunk: c}
	}
	chunk := s.chunks[c]
	return pos{c, sort.Search(len(chunk), func(i int) bool { return !chunk[i].Last.Less(a) })}
}

func (s *Set) at(p pos) (Range, bool) {
	if p.chunk == len(s.chunks) {
		return Range{}, false
	}
	return s.chunks[p.chunk][p.index], true
}

func (s *Set) next(p pos) pos {
	if p.index+1 < len(s.chunks[p.chunk]) {
		return pos{p.chunk, p.index + 1}
	}
	return pos{chunk: p.chunk + 1}
}

// splice replaces the ranges in [from, to) by others.
func (s *Set) splice(from, to pos, with ...Range) {
	if from.chunk == len(s.chunks) { // after the last range: append to the last chunk
		if len(s.chunks) == 0 {
			s.chunks = append(s.chunks, nil)
		}
		from.chunk = len(s.chunks) - 1
		from.index = len(s.chunks[from.chunk])
		to = from
	}
	c := from.chunk
	if to.chunk == c {
		s.chunks[c] = slices.Replace(s.chunks[c], from.index, to.index, with...)
	} else {
		s.chunks[c] = slices.Replace(s.chunks[c], from.index, len(s.chunks[c]), with...)
		if to.index > 0 {
			s.chunks[to.chunk] = slices.Delete(s.chunks[to.chunk], 0, to.index)
		}
		s.chunks = slices.Delete(s.chunks, c+1, to.chunk)
	}
	s.balance(c)
}

// balance splits chunk c when it is full, and joins it with its neighbors when they are nearly empty.
func (s *Set) balance(c int) {
	chunk := s.chunks[c]
	switch {
	case len(chunk) == 0:
		s.chunks = slices.Delete(s.chunks, c, c+1)
	case len(chunk) > chunkSize:
		upper := slices.Clone(chunk[chunkSize/2:])
		s.chunks[c] = slices.Delete(chunk, chunkSize/2, len(chunk))
		s.chunks = slices.Insert(s.chunks, c+1, upper)
	default:
		s.join(c)
		s.join(c - 1)
	}
}

// join appends chunk c+1 to chunk c when both are there and small.
func (s *Set) join(c int) {
	if c < 0 || c+1 >= len(s.chunks) || len(s.chunks[c])+len(s.chunks[c+1]) > chunkSize/2 {
		return
	}
	s.chunks[c] = append(s.chunks[c], s.chunks[c+1]...)
	s.chunks = slices.Delete(s.chunks, c+1, c+2)
}
