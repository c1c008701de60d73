package dns

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// serve answers on UDP and TCP until the test ends.
func (r *rig) serve(address string) {
	r.in(r.node, func() error {
		u, err := net.ListenPacket("udp", address)
		if err != nil {
			return err
		}
		r.t.Cleanup(func() { u.Close() })
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		r.t.Cleanup(func() { l.Close() })
		go serveUDP(u)
		go serveTCP(l)
		return nil
	})
}

func serveUDP(u net.PacketConn) {
	b := make([]byte, 65535)
	for {
		n, from, err := u.ReadFrom(b)
		if err != nil {
			return
		}
		_, _ = u.WriteTo(answer(b[:n]), from)
	}
}

func serveTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for q := readTCP(c); q != nil; q = readTCP(c) {
				b := framed(answer(q))
				if bytes.Contains(q, []byte("twice")) {
					b = append(b, b...)
				}
				_, _ = c.Write(b)
			}
		}()
	}
}

func framed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
}

func readTCP(c net.Conn) []byte {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		return nil
	}
	return b
}

// answer is what a server says to a question; it says what it hears when that is none.
func answer(query []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return query
	}
	m.Response = true
	q := m.Questions[0]
	h := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 30}
	switch name := q.Name.String(); {
	case name == "echo.example.":
		return query
	case name == "none.example.":
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeTXT:
		m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.TXTResource{TXT: []string{"hello"}}}}
	case q.Type == dnsmessage.TypeAAAA:
		m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("2001:db8::1").As16()}}}
	case strings.HasSuffix(name, "-big.example."):
		m.Answers = addresses(h, 120) // more than the MTU, and less than what TCP sends as one (tcp_min_tso_segs)
	default:
		m.Answers = addresses(h, 1)
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func addresses(h dnsmessage.ResourceHeader, n byte) (out []dnsmessage.Resource) {
	for i := range n {
		out = append(out, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, i + 1}}})
	}
	return out
}
