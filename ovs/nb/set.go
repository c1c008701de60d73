package nb

import (
	"iter"
	"slices"
)

// chunkSize is the most members of a chunk: what a change copies.
const chunkSize = 128

// Set is one version of a large sorted set of texts. A Set never changes; With and Without return the next version, which
// shares all but one chunk with it. So a version costs little to make, and two of them little to compare. nil is the empty
// set.
type Set struct {
	chunks [][]string // none is empty, and none is changed
	size   int
}

// SetOf returns the set of these members. It keeps the slice.
func SetOf(members ...string) *Set {
	slices.Sort(members)
	members = slices.Compact(members)
	s := &Set{size: len(members)}
	for chunk := range slices.Chunk(members, chunkSize) {
		s.chunks = append(s.chunks, slices.Clip(chunk))
	}
	return s
}

// Len counts the members.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return s.size
}

// All yields the members in order.
func (s *Set) All() iter.Seq[string] {
	return func(yield func(string) bool) {
		if s == nil {
			return
		}
		for _, chunk := range s.chunks {
			for _, member := range chunk {
				if !yield(member) {
					return
				}
			}
		}
	}
}

// Has tells whether the set has the member.
func (s *Set) Has(member string) bool {
	_, _, ok := s.find(member)
	return ok
}

// find returns the chunk that has the member, or would have it, and its place there.
func (s *Set) find(member string) (chunk, at int, ok bool) {
	if s.Len() == 0 {
		return 0, 0, false
	}
	chunk, ok = slices.BinarySearchFunc(s.chunks, member, func(c []string, m string) int {
		switch {
		case c[0] == m:
			return 0
		case c[0] < m:
			return -1
		}
		return 1
	})
	if ok {
		return chunk, 0, true
	}
	chunk = max(0, chunk-1) // the last one that begins before the member
	at, ok = slices.BinarySearch(s.chunks[chunk], member)
	return chunk, at, ok
}

// With returns the set with one more member; the same one if it is there already.
func (s *Set) With(member string) *Set {
	i, at, ok := s.find(member)
	switch {
	case ok:
		return s
	case s.Len() == 0:
		return SetOf(member)
	}
	grown := insert(s.chunks[i], at, member)
	if len(grown) <= chunkSize {
		return s.replace(i, 1, grown)
	}
	half := len(grown) / 2
	return s.replace(i, 1, slices.Clip(grown[:half]), slices.Clip(grown[half:]))
}

// Without returns the set without a member; the same one if it is not there.
func (s *Set) Without(member string) *Set {
	i, at, ok := s.find(member)
	if !ok {
		return s
	}
	chunk := s.chunks[i]
	if len(chunk) == 1 {
		return s.replace(i, -1)
	}
	shrunk := make([]string, 0, len(chunk)-1)
	return s.replace(i, -1, append(append(shrunk, chunk[:at]...), chunk[at+1:]...))
}

func insert(chunk []string, at int, member string) []string {
	grown := make([]string, 0, len(chunk)+1)
	grown = append(append(grown, chunk[:at]...), member)
	return append(grown, chunk[at:]...)
}

// replace returns the set with other chunks in place of the i-th, and so many more members.
func (s *Set) replace(i, more int, chunks ...[]string) *Set {
	all := make([][]string, 0, len(s.chunks)+1)
	all = append(append(all, s.chunks[:i]...), chunks...)
	return &Set{append(all, s.chunks[i+1:]...), s.size + more}
}

// cursor walks over the members of a set, or over whole chunks of it.
type cursor struct {
	chunks [][]string
	at     int // in the first of chunks
}

func cursorOf(s *Set) cursor {
	if s == nil {
		return cursor{}
	}
	return cursor{chunks: s.chunks}
}

func (c *cursor) done() bool { return len(c.chunks) == 0 }

func (c *cursor) get() string { return c.chunks[0][c.at] }

func (c *cursor) next() {
	if c.at++; c.at == len(c.chunks[0]) {
		c.chunks, c.at = c.chunks[1:], 0
	}
}

// skip goes over a chunk that both share, and reports whether there was one.
func (c *cursor) skip(o *cursor) bool {
	if c.done() || o.done() || c.at > 0 || o.at > 0 {
		return false
	}
	a, b := c.chunks[0], o.chunks[0]
	if &a[0] != &b[0] || len(a) != len(b) {
		return false
	}
	c.chunks, o.chunks = c.chunks[1:], o.chunks[1:]
	return true
}

// Diff returns what must be taken from one set, and what added to it, to make it the other one. It looks only at what the two
// do not share.
func Diff(from, to *Set) (drop, add []string) {
	a, b := cursorOf(from), cursorOf(to)
	for !a.done() || !b.done() {
		switch {
		case a.skip(&b):
		case b.done() || !a.done() && a.get() < b.get():
			drop = append(drop, a.get())
			a.next()
		case a.done() || b.get() < a.get():
			add = append(add, b.get())
			b.next()
		default:
			a.next()
			b.next()
		}
	}
	return drop, add
}
