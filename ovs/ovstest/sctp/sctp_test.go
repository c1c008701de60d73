package sctp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// TestAsk asks over loopback.
func TestAsk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for raw sockets")
	}
	for _, text := range []string{"127.0.0.1:80", "[::1]:80"} {
		at := netip.MustParseAddrPort(text)
		c, err := Listen(at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if got, err := Ask(netip.Addr{}, at, 10*time.Second); err != nil || got != text+" "+at.Addr().String() {
			t.Errorf("%s says %q, %v", at, got, err)
		}
		closed := netip.AddrPortFrom(at.Addr(), 81)
		if got, err := Ask(netip.Addr{}, closed, 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s says %q, %v", closed, got, err)
		}
	}
}

// TestAskAgain: the first INIT is lost.
func TestAskAgain(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for raw sockets")
	}
	at := netip.MustParseAddrPort("127.0.0.1:82")
	c, err := net.ListenPacket(network(at.Addr()), at.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		var buf [1500]byte
		_, _, _ = c.ReadFrom(buf[:])
		answer(c, at)
	}()
	if got, err := Ask(netip.Addr{}, at, 10*time.Second); err != nil || got != at.String()+" "+at.Addr().String() {
		t.Errorf("%q, %v", got, err)
	}
}

// TestChecksum: a packet that somebody has changed is not taken.
func TestChecksum(t *testing.T) {
	b := packet{from: 1, to: 2, chunk: chunkInitAck, tag: 3, initiate: 4, cookie: "five"}.marshal()
	if p, err := parse(b); err != nil || p != (packet{1, 2, chunkInitAck, 3, 4, "five"}) {
		t.Errorf("%+v, %v", p, err)
	}
	b[1]++
	if _, err := parse(b); err == nil {
		t.Error("no error")
	}
}
