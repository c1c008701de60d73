package host

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

// serve answers on an address with that address and the client's, and stops with the test.
func (r *rig) serve(netns, protocol, at string) {
	r.t.Helper()
	err := in(netns, func() error {
		if protocol == "udp" {
			c, err := net.ListenPacket("udp", at)
			if err == nil {
				r.t.Cleanup(func() { c.Close() })
				go answerUDP(c, at)
			}
			return err
		}
		l, err := net.Listen("tcp", at)
		if err == nil {
			r.t.Cleanup(func() { l.Close() })
			go answerTCP(l, at)
		}
		return err
	})
	if err != nil {
		r.t.Fatalf("serve %s %s: %v", protocol, at, err)
	}
}

func answerUDP(c net.PacketConn, at string) {
	buf := make([]byte, 16)
	for {
		_, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = c.WriteTo([]byte(at+" "+hostOf(from)), from)
	}
}

func answerTCP(l net.Listener, at string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = c.Write([]byte(at + " " + hostOf(c.RemoteAddr())))
		c.Close()
	}
}

func hostOf(a net.Addr) string {
	host, _, _ := net.SplitHostPort(a.String())
	return host
}

// connect opens a client's socket.
func connect(netns, from, protocol, to string) (c net.Conn, err error) {
	err = in(netns, func() error {
		d := net.Dialer{Timeout: patience}
		if ip := net.ParseIP(from); from != "" && protocol == "udp" {
			d.LocalAddr = &net.UDPAddr{IP: ip}
		} else if from != "" {
			d.LocalAddr = &net.TCPAddr{IP: ip}
		}
		c, err = d.Dial(protocol, to)
		return err
	})
	return c, err
}

// patience with answers that are not to come; those that come need milliseconds, but the first when neighbours are looked up.
const patience = 700 * time.Millisecond

// say is one question: who answers, and whom it saw ask; or "refused" or "nothing".
func say(netns, from, protocol, to string) string {
	c, err := connect(netns, from, protocol, to)
	if err != nil {
		return outcome(err)
	}
	defer c.Close()
	return talk(c)
}

func talk(c net.Conn) string {
	_ = c.SetDeadline(time.Now().Add(patience))
	buf := make([]byte, 100)
	if _, udp := c.(*net.UDPConn); udp {
		if _, err := c.Write([]byte("?")); err != nil {
			return outcome(err)
		}
		n, err := c.Read(buf)
		if err != nil {
			return outcome(err)
		}
		return string(buf[:n])
	}
	b, err := io.ReadAll(c)
	if err != nil {
		return outcome(err)
	}
	return string(b)
}

func outcome(err error) string {
	var late net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.As(err, &late) && late.Timeout(), errors.Is(err, syscall.EPERM): // how a drop at the output hook reads
		return "nothing"
	}
	return err.Error()
}

func ports(list ...string) (out []netip.AddrPort) {
	for _, text := range list {
		out = append(out, netip.MustParseAddrPort(text))
	}
	return out
}

// serviceInput has Services of all kinds; 10.96.0.10 and fd00:10:96::10 are ClusterIPs that the Pods' side answers for, in OVN's place.
func serviceInput() Input {
	in := dualInput()
	in.OwnIPs = []string{"192.0.2.1", "2001:db8:1::1"}
	v4, v6 := ports("10.96.0.10:80")[0], ports("[fd00:10:96::10]:80")[0]
	here4, here6 := ports("10.16.0.5:8080"), ports("[fd00:10:16::5]:8080")
	both := func(edit func(p *ServicePort, own []netip.AddrPort)) (out []ServicePort) {
		for _, protocol := range []string{"tcp", "udp"} {
			a, b := ServicePort{VIP: v4, Protocol: protocol, Live: true}, ServicePort{VIP: v6, Protocol: protocol, Live: true}
			edit(&a, here4)
			edit(&b, here6)
			out = append(out, a, b)
		}
		return out
	}
	in.Services = []*Service{
		{Name: "default/cluster", ExternalIPs: []netip.Addr{netip.MustParseAddr("203.0.113.80")}, Ports: both(func(p *ServicePort, _ []netip.AddrPort) { p.NodePort = 30080 })},
		{Name: "default/empty", Ports: both(func(p *ServicePort, _ []netip.AddrPort) { p.NodePort, p.Live = 30081, false })},
		{Name: "default/local", Local: true, Ports: both(func(p *ServicePort, own []netip.AddrPort) { p.NodePort, p.Here = 30082, own })},
		{Name: "default/local-elsewhere", Local: true, Ports: both(func(p *ServicePort, _ []netip.AddrPort) { p.NodePort = 30083 })},
		{
			Name: "default/restricted", Ingress: []netip.Addr{netip.MustParseAddr("203.0.113.81"), netip.MustParseAddr("2001:db8:113::81")},
			SourceRanges: []netip.Prefix{
				netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("10.16.0.0/24"), netip.MustParsePrefix("2001:db8:2::/64"), netip.MustParsePrefix("fd00:10:16::5/128"),
			}, Ports: both(func(*ServicePort, []netip.AddrPort) {}),
		},
		{Name: "default/sticky", Affinity: 60, Ports: []ServicePort{{
			VIP: v4, Protocol: "tcp", NodePort: 30084, Live: true, Pick: ports("10.16.0.5:8080", "10.16.0.6:8080", "10.16.0.7:8080"),
		}}},
		{Name: "default/kubernetes", Ports: []ServicePort{
			{VIP: ports("10.96.0.1:443")[0], Protocol: "tcp", NodePort: 30085, Live: true, Own: ports("192.0.2.1:6443"), Pick: ports("192.0.2.1:6443")},
			{VIP: ports("10.96.0.1:444")[0], Protocol: "tcp", NodePort: 30086, Live: true, Own: ports("192.0.2.2:6443"), Pick: ports("192.0.2.2:6443")},
		}},
	}
	return in
}

// newServiceRig has endpoints, ClusterIPs and clients.
func newServiceRig(t *testing.T) (r *rig, h *Host, stop func(), pods string) {
	return newServiceRigOf(t, serviceInput())
}

func newServiceRigOf(t *testing.T, input Input) (r *rig, h *Host, stop func(), pods string) {
	r = newRig(t, Datapath(node.Datapath()))
	h, stop = r.start(&input)
	r.untilReady(h)
	pods = r.connectPods()
	r.lines(pods, `
		ip addr add 10.16.0.6/32 dev lo
		ip addr add 10.16.0.7/32 dev lo
		ip addr add 10.96.0.10/32 dev lo
		ip addr add fd00:10:96::10/128 dev lo`)
	r.lines(r.outside, `
		ip addr add 198.51.100.11/32 dev lo
		ip route add 203.0.113.0/24 via 192.0.2.1
		ip route add 2001:db8:113::/64 via 2001:db8:1::1`)
	for _, protocol := range []string{"tcp", "udp"} {
		for _, at := range []string{"10.96.0.10:80", "[fd00:10:96::10]:80", "10.16.0.5:8080", "10.16.0.6:8080", "10.16.0.7:8080", "[fd00:10:16::5]:8080"} {
			r.serve(pods, protocol, at)
		}
	}
	r.serve("", "tcp", "192.0.2.1:6443")
	r.serve(r.outside, "tcp", "192.0.2.2:6443")
	// Neighbours are looked up by packets that may be lost.
	r.ask(r.outside, "198.51.100.10", pods, "10.16.0.5")
	r.ask(r.outside, "2001:db8:2::10", pods, "fd00:10:16::5")
	return r, h, stop, pods
}
