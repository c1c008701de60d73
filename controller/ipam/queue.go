package ipam

import "net/netip"

// queueLimit is how many releases an address waits for at most before it counts as fresh again. It bounds the memory of
// a large subnet in which Pods come and go for years; in a /16 or smaller it is never reached.
const queueLimit = 1 << 16

// queue holds free addresses in the order in which they were released.
type queue struct {
	ring   []netip.Addr // the oldest first; the zero Addr where one was taken out of turn, but never at the front
	base   uint64       // the serial number of ring[0]
	serial map[netip.Addr]uint64
}

func (q *queue) push(a netip.Addr) {
	if q.serial == nil {
		q.serial = map[netip.Addr]uint64{}
	}
	q.serial[a] = q.base + uint64(len(q.ring))
	q.ring = append(q.ring, a)
}

// front returns the address that was released first.
func (q *queue) front() (netip.Addr, bool) {
	if len(q.ring) == 0 {
		return netip.Addr{}, false
	}
	return q.ring[0], true
}

func (q *queue) remove(a netip.Addr) {
	n, ok := q.serial[a]
	if !ok {
		return
	}
	delete(q.serial, a)
	q.ring[n-q.base] = netip.Addr{}
	for len(q.ring) > 0 && !q.ring[0].IsValid() {
		q.ring = q.ring[1:]
		q.base++
	}
}
