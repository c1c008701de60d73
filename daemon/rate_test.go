package daemon

import (
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

// measured is for tests that say what a second is worth.
func measured(t *testing.T) (r *rig, a, b *sandbox) {
	t.Helper()
	if !node.Kernel() {
		t.Skip("measures, which needs the steady clock of e2e/kernel, and its netem")
	}
	r = newRig(t)
	pod := func(name string, n int) *sandbox {
		return r.pod(name, fmt.Sprintf("10.16.0.%d,fd00::%[1]d", n), "10.16.0.0/16,fd00::/112", "10.16.0.1,fd00::1", n)
	}
	return r, pod("a", 11), pod("b", 12)
}

// reshaped changes what a Pod that runs is to have.
func (s *sandbox) reshaped(t *testing.T, annotations ...string) {
	t.Helper()
	s.annotated(annotations...)
	s.rig.reshape(t, s.rig.manager, s.pod.Name)
}

// TestRates measures in each direction what arrives of TCP and UDP, IPv4 and IPv6: the limit of that direction, and no other.
func TestRates(t *testing.T) {
	r, a, b := measured(t)
	b.annotated("egress_rate=50") // so that there is an end to what is sent too much
	b.must("ADD")
	for i, c := range []struct {
		annotations string
		to, from    float64 // Mbit/s; 0 is not measured
	}{
		{"ingress_rate=10", 10, unlimited},
		{"egress_rate=10", 50, 10},
		{"ingress_rate=30,egress_rate=20", 30, 20},
		{"egress_rate=10,latency=50", 0, 10},
	} {
		t.Run(c.annotations, func(t *testing.T) {
			r.in(t)
			annotations := strings.Split(c.annotations, ",")
			if i == 0 {
				a.annotated(annotations...)
				a.must("ADD")
			} else {
				a.reshaped(t, annotations...)
			}
			for family := range 2 {
				for _, protocol := range []string{"tcp", "udp"} {
					r.wantRate(t, protocol, b, a, family, c.to)
					r.wantRate(t, protocol, a, b, family, c.from)
				}
			}
		})
	}
}

// unlimited is more than any limit of the test.
var unlimited = math.Inf(1)

func (r *rig) wantRate(t *testing.T, protocol string, from, to *sandbox, family int, want float64) {
	t.Helper()
	if want == 0 || want == unlimited && protocol == "udp" { // datagrams without an end overrun their receiver
		return
	}
	ip := strings.Split(to.pod.IP, ",")[family]
	rate := r.rate(t, protocol, from, to, ip)
	t.Logf("%s from %s to %s: %.2f Mbit/s of %g", protocol, from.pod.Name, ip, rate, want)
	if want == unlimited && rate < 100 || want != unlimited && math.Abs(rate-want) > want/10 {
		t.Errorf("%s from %s to %s: %.2f Mbit/s, want %g", protocol, from.pod.Name, ip, rate, want)
	}
}

// Octets: the payload of a datagram, and the headers of a frame without those of IP.
const (
	datagram  = 1300
	ethernet  = 14
	tcpHeader = 32 // with timestamps
	udpHeader = 8
)

// amounts are the octets that come before the measurement, by when a sender is as fast as it gets and the bucket is empty, and those in
// it: of TCP many times those that may wait for a segment that is lost.
var amounts = map[string]struct{ before, counted int }{"tcp": {2_000_000, 4_000_000}, "udp": {1_000_000, 1_000_000}}

// rate is what arrives per second, in Mbit of whole frames.
func (r *rig) rate(t *testing.T, protocol string, from, to *sandbox, ip string) float64 {
	t.Helper()
	at, receiver := r.receive(t, protocol, to, ip)
	sender := r.dial(t, protocol, from, at)
	go send(sender)
	conn := <-receiver
	if conn == nil {
		t.Fatal("nobody came")
	}
	defer conn.Close()
	defer sender.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := read(conn, amounts[protocol].before); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	octets, err := read(conn, amounts[protocol].counted)
	if err != nil {
		t.Fatal(err)
	}
	return float64(octets) * inFrames(protocol, ip) * 8 / 1e6 / time.Since(start).Seconds()
}

// inFrames is how many octets are on the link for one of the payload.
func inFrames(protocol, ip string) float64 {
	header := 20
	if strings.Contains(ip, ":") {
		header = 40
	}
	if protocol == "udp" {
		return float64(ethernet+header+udpHeader+datagram) / datagram
	}
	const mtu = 1400
	return float64(ethernet+mtu) / float64(mtu-header-tcpHeader)
}

// send goes on until the connection is closed.
func send(conn net.Conn) {
	size := 64 << 10
	if _, udp := conn.(*net.UDPConn); udp {
		size = datagram
	}
	for buf := make([]byte, size); ; {
		if _, err := conn.Write(buf); errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
			return
		}
	}
}

// read takes at least so many octets, and says how many they were.
func read(conn net.Conn, want int) (n int, err error) {
	for buf := make([]byte, 256<<10); n < want && err == nil; {
		var more int
		more, err = conn.Read(buf)
		n += more
	}
	return n, err
}

// receive listens, and gives the one who comes.
func (r *rig) receive(t *testing.T, protocol string, to *sandbox, ip string) (at string, conns chan net.Conn) {
	t.Helper()
	conns = make(chan net.Conn, 1)
	if protocol == "udp" {
		conn := r.listenUDP(t, to, ip)
		conns <- conn
		return conn.LocalAddr().String(), conns
	}
	var l net.Listener
	r.Do(to.netns, func() {
		var err error
		if l, err = net.Listen("tcp", net.JoinHostPort(ip, "0")); err != nil {
			t.Error(err)
		}
	})
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute))
	go func() {
		conn, _ := l.Accept()
		_ = l.Close()
		conns <- conn
	}()
	return l.Addr().String(), conns
}

// listenUDP is a socket that holds all that a test sends.
func (r *rig) listenUDP(t *testing.T, at *sandbox, ip string) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	r.Do(at.netns, func() {
		var err error
		if conn, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)}); err != nil {
			t.Error(err)
		}
	})
	if conn == nil {
		t.FailNow()
	}
	t.Cleanup(func() { _ = conn.Close() })
	raw, err := conn.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20) }), err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func (r *rig) dial(t *testing.T, protocol string, from *sandbox, to string) net.Conn {
	t.Helper()
	var conn net.Conn
	var err error
	r.Do(from.netns, func() { conn, err = net.DialTimeout(protocol, to, time.Minute) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
