package dns

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/go-logr/logr/testr"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

const (
	deadline = time.Minute
	forever  = time.Hour
)

// trusted are the DNS servers' addresses, of the node.
var trusted = []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}

// rig is a node with DNS servers, and Pods.
//
//	node (10.0.0.1, fd00::1, 10.0.0.9) br0 ── hd0 ═ eth0 (10.0.0.10, fd00::10) Pod 0
//	                                    └── hd1 ═ eth0 (10.0.0.11, fd00::11) Pod 1
type rig struct {
	t    *testing.T
	node ns.NetNS
	pods []ns.NetNS

	asked chan asked // by the Gate
}

// asked is a question to Config.Hold. The answer goes on when release is called.
type asked struct {
	record  Record
	release func()
}

func newRig(t *testing.T) *rig {
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	r := &rig{t: t, asked: make(chan asked, 2*most)}
	r.node = r.namespace()
	r.lines(r.node, `
		ip link set lo up
		ip link add br0 address 02:00:00:00:00:01 type bridge
		ip link set br0 up
		ip addr add 10.0.0.1/24 dev br0
		ip addr add 10.0.0.9/24 dev br0
		ip addr add fd00::1/64 dev br0 nodad`)
	for _, s := range []string{"10.0.0.1:53", "[fd00::1]:53", "10.0.0.1:5353", "10.0.0.9:53"} {
		r.serve(s)
	}
	r.addPod()
	return r
}

// at is the rig for a subtest.
func (r *rig) at(t *testing.T) *rig {
	c := *r
	c.t = t
	return &c
}

func (r *rig) namespace() ns.NetNS {
	netns, err := ns.TempNetNS()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { netns.Close() })
	return netns
}

// addPod makes the next Pod and its link.
func (r *rig) addPod() {
	pod, i := r.namespace(), len(r.pods)
	r.pods = append(r.pods, pod)
	r.lines(r.node, fmt.Sprintf(`
		ip link add hd%d type veth peer name eth0 netns %s
		ip link set hd%d master br0 up`, i, pathOf(pod), i))
	r.lines(pod, fmt.Sprintf(`
		ip addr add 10.0.0.1%d/24 dev eth0
		ip addr add fd00::1%d/64 dev eth0 nodad
		ip link set eth0 up`, i, i))
}

func pathOf(netns ns.NetNS) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), netns.Fd()) }

func (r *rig) lines(netns ns.NetNS, commands string) {
	r.t.Helper()
	for line := range strings.Lines(strings.TrimSpace(commands)) {
		r.run(netns, strings.Fields(line)...)
	}
}

func (r *rig) run(netns ns.NetNS, command ...string) string {
	r.t.Helper()
	out, err := exec.Command("nsenter", append([]string{"--net=" + pathOf(netns)}, command...)...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("%v: %v\n%s", command, err, out)
	}
	return string(out)
}

func (r *rig) in(netns ns.NetNS, f func() error) {
	r.t.Helper()
	if err := netns.Do(func(ns.NetNS) error { return f() }); err != nil {
		r.t.Fatal(err)
	}
}

// running is a Gate at work.
type running struct {
	*Gate
	cancel context.CancelFunc
	done   chan error // what Run returned
}

// gate runs a Gate on the node. Its questions go to asked.
func (r *rig) gate(limit time.Duration) *running {
	ctx, cancel := context.WithCancel(r.t.Context())
	g := &running{New(Config{Servers: trusted, Limit: limit, Hold: r.hold, Log: testr.New(r.t)}), cancel, make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.done <- r.node.Do(func(ns.NetNS) error { return g.Run(ctx) })
	}()
	r.t.Cleanup(func() { cancel(); <-ended })
	return g
}

func (r *rig) hold(record Record) <-chan struct{} {
	until := make(chan struct{})
	r.asked <- asked{record, func() { close(until) }}
	return until
}

// set waits until the Gate does what SetLinks asks for.
func (r *rig) set(g *running, links ...string) {
	r.t.Helper()
	wait(r.t, g.SetLinks(links))
}

func wait[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(deadline):
		t.Fatal("nothing came")
	}
	return v
}

// unasked fails when Hold was asked once more.
func (r *rig) unasked() {
	r.t.Helper()
	select {
	case a := <-r.asked:
		r.t.Errorf("the Gate held %+v", a.record)
	default:
	}
}

// state is what a Gate may leave on a node, without what changes by itself.
func (r *rig) state() string {
	links := r.run(r.node, "ip", "-o", "link")
	return regexp.MustCompile(`(?m)^\d+: |state \w+|qlen \d+`).ReplaceAllString(links, "") + r.run(r.node, "nft", "list", "ruleset")
}

// client is a socket of a Pod to a server.
type client struct {
	net.Conn
	t   *testing.T
	tcp bool
}

func (r *rig) dial(pod int, network, server string) *client {
	r.t.Helper()
	c := &client{t: r.t, tcp: network == "tcp"}
	r.in(r.pods[pod], func() (err error) {
		c.Conn, err = net.DialTimeout(network, server, deadline)
		return err
	})
	r.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(deadline)); err != nil {
		r.t.Fatal(err)
	}
	return c
}

func question(id uint16, name string, kind dnsmessage.Type) []byte {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func (c *client) send(message []byte) {
	c.t.Helper()
	if c.tcp {
		message = framed(message)
	}
	if _, err := c.Write(message); err != nil {
		c.t.Fatal(err)
	}
}

// expect reads the answer to a question, intact.
func (c *client) expect(query []byte) {
	c.t.Helper()
	var got []byte
	if c.tcp {
		got = readTCP(c)
	} else {
		got = make([]byte, 65535)
		n, err := c.Read(got)
		if err != nil {
			c.t.Fatal(err)
		}
		got = got[:n]
	}
	if want := answer(query); !bytes.Equal(got, want) {
		c.t.Errorf("the Pod got %x, want %x", got, want)
	}
}

// empty fails when there is something to be read.
func (c *client) empty() {
	c.t.Helper()
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		_, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err != unix.EAGAIN {
			c.t.Errorf("the Pod got an answer that is held (%v)", err)
		}
	}); err != nil {
		c.t.Fatal(err)
	}
}
