package sctp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"
)

// Listen answers each INIT to an address and port with an INIT ACK that carries "address:port client", until Close: at which of its
// addresses it was asked, and by whom.
func Listen(at netip.AddrPort) (net.PacketConn, error) {
	c, err := net.ListenPacket(network(at.Addr()), at.Addr().String())
	if err != nil {
		return nil, err
	}
	go answer(c, at)
	return c, nil
}

// network names the protocol by its number, which needs no /etc/protocols.
func network(a netip.Addr) string {
	if a.Is4() {
		return "ip4:132"
	}
	return "ip6:132"
}

func answer(c net.PacketConn, at netip.AddrPort) {
	var buf [1500]byte
	for {
		n, from, err := c.ReadFrom(buf[:])
		if err != nil {
			return
		}
		p, err := parse(buf[:n])
		if err != nil || p.chunk != chunkInit || p.to != at.Port() {
			continue
		}
		reply := packet{from: p.to, to: p.from, chunk: chunkInitAck, tag: p.initiate, initiate: rand.Uint32(), cookie: at.String() + " " + from.String()}
		_, _ = c.WriteTo(reply.marshal(), from) // the client says what is missing
	}
}

// Ask sends an INIT from a new port, from any address if source is invalid, and returns what the INIT ACK carries. It must come from
// where the INIT went, with right ports, tag and checksum; else Ask returns an error, at the latest after the limit. An INIT that is not
// answered is sent again (RFC 9260, section 5.1, T1-init).
func Ask(source netip.Addr, to netip.AddrPort, limit time.Duration) (string, error) {
	own := ""
	if source.IsValid() {
		own = source.String()
	}
	c, err := net.ListenPacket(network(to.Addr()), own)
	if err != nil {
		return "", err
	}
	defer c.Close()
	p := packet{from: uint16(1024 + rand.IntN(60000)), to: to.Port(), chunk: chunkInit, initiate: rand.Uint32()}
	end := time.Now().Add(limit)
	for rto := rtoInitial; ; rto *= 2 {
		if _, err := c.WriteTo(p.marshal(), &net.IPAddr{IP: to.Addr().AsSlice()}); err != nil {
			return "", err
		}
		if err := c.SetReadDeadline(time.Now().Add(min(rto, time.Until(end)))); err != nil {
			return "", err
		}
		cookie, err := p.awaitAck(c, to)
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(end) {
			return cookie, err
		}
	}
}

// rtoInitial is RTO.Initial of RFC 9260, section 16.
const rtoInitial = time.Second

// awaitAck reads until the answer is there; a raw socket gets other packets too.
func (p packet) awaitAck(c net.PacketConn, to netip.AddrPort) (string, error) {
	var other error
	var buf [1500]byte
	for {
		n, from, err := c.ReadFrom(buf[:])
		if err != nil {
			return "", errors.Join(err, other)
		}
		got, err := parse(buf[:n])
		switch {
		case err == nil && got.to != p.from:
		case err == nil && got.chunk == chunkInitAck && got.tag == p.initiate && got.from == to.Port() && from.String() == to.Addr().String():
			return got.cookie, nil
		default:
			other = fmt.Errorf("from %s came %+v, %w", from, got, err)
		}
	}
}
