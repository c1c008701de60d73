package compile_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	machine "github.com/heddle-net/heddle/ovs/ovstest/node"
)

func TestMain(m *testing.M) { machine.Main(m) }

// TestEndpointsChangeUnderLoad opens connections to a Service all the time, on a real node, while one of its endpoints is replaced
// again and again. None may lose a packet.
func TestEndpointsChangeUnderLoad(t *testing.T) {
	m := machine.Start(t, machine.Options{})
	n := &network{t: t, conn: dialNB(t, m.NB)}
	w := twoNodes("4")
	w.pods = nil
	for i := range 5 {
		w.pods = append(w.pods, pod{name: fmt.Sprintf("p%d", i), addrs: nth(w.subnets[0].cidrs, 7+i)})
	}
	vip := netip.MustParseAddr("10.96.0.10")
	become := func(spare pod) {
		w.more = serviceOf(t, "TCP", "web", []netip.Addr{vip}, w.pods[1].addrs[0], w.pods[2].addrs[0], spare.addrs[0])
		n.commit(w)
		m.NBCtl("--wait=hv", "sync")
	}
	l := &connections{node: m, from: plug(m, w, w.pods[0]), to: netip.AddrPortFrom(vip, 53)}
	for _, p := range w.pods[1:] {
		accept(t, m, plug(m, w, p), netip.AddrPortFrom(p.addrs[0], 5353))
	}
	become(w.pods[3])
	stop := l.start()
	for i := range 20 {
		become(w.pods[3+i%2])
	}
	stop()
	t.Logf("%d connections", l.opened)
	if l.opened == 0 || len(l.wrong) > 0 {
		t.Errorf("%d of %d connections have lost their first packet: %q", len(l.wrong), l.opened, l.wrong[:min(len(l.wrong), 5)])
	}
}

// plug makes a Pod's link, from its own network namespace, which is returned, to its port.
func plug(n *machine.Node, w world, p pod) string {
	h, netns := hostOfPod(w, p), n.NewNetNS()
	gateway, _ := h.subnet.gatewayTo(netip.MustParseAddr("10.96.0.10"))
	n.MustExec("", "ip", "link", "add", p.name, "type", "veth", "peer", "name", "eth0", "address", h.mac, "netns", netns)
	n.MustExec("", "ip", "link", "set", p.name, "up")
	n.MustExec(netns, "ip", "address", "add", netip.PrefixFrom(h.addrs[0], h.subnet.cidrs[0].Bits()).String(), "dev", "eth0")
	n.MustExec(netns, "ip", "link", "set", "eth0", "up")
	n.MustExec(netns, "ip", "route", "add", "default", "via", gateway.String())
	n.MustExec("", "ethtool", "-K", p.name, "tx", "off") // the user-space datapath finishes no checksums
	n.MustExec(netns, "ethtool", "-K", "eth0", "tx", "off")
	n.VSCtl("add-port", "br-int", p.name, "--", "set", "Interface", p.name, "external_ids:iface-id="+h.port, `external_ids:iface-id-ver=""`)
	return netns
}

// accept takes all connections, and closes them when the other end does.
func accept(t *testing.T, n *machine.Node, netns string, at netip.AddrPort) {
	t.Helper()
	var l net.Listener
	n.Do(netns, func() {
		var err error
		if l, err = net.Listen("tcp", at.String()); err != nil {
			t.Fatal(err)
		}
	})
	var running sync.WaitGroup
	t.Cleanup(func() { l.Close(); running.Wait() })
	running.Go(func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			running.Go(func() {
				_, _ = conn.Read(make([]byte, 1)) // until the end
				conn.Close()
			})
		}
	})
}

// connections are opened one after the other, by several at a time.
type connections struct {
	node *machine.Node
	from string
	to   netip.AddrPort

	mu     sync.Mutex
	opened int
	wrong  []string
}

// start opens connections until the returned function is called.
func (l *connections) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			l.node.Do(l.from, func() {
				for ctx.Err() == nil {
					l.open()
				}
			})
		})
	}
	return func() { cancel(); running.Wait() }
}

func (l *connections) open() {
	var wrong string
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).Dial("tcp", l.to.String())
	if err != nil {
		wrong = err.Error()
	} else {
		wrong = firstLost(conn.(*net.TCPConn))
		conn.Close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened++
	if wrong != "" {
		l.wrong = append(l.wrong, wrong)
	}
}

// firstTimeout is after how long Linux sends the first packet again (RFC 6298, section 2.1), in the unit of TCP_INFO.
const firstTimeout = uint32(time.Second / time.Microsecond)

// firstLost tells what is wrong with a new connection: the other side has answered a repetition of the first packet. That it was sent
// again alone proves nothing, since the answer may have been slow; the round trip does, which the kernel takes from the time stamp in
// the answer.
func firstLost(conn *net.TCPConn) (wrong string) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err.Error()
	}
	if err := raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		switch {
		case err != nil:
			wrong = err.Error()
		case info.Total_retrans > 0 && info.Rtt < firstTimeout:
			wrong = fmt.Sprintf("sent again %d times", info.Total_retrans)
		}
	}); err != nil {
		return err.Error()
	}
	return wrong
}
