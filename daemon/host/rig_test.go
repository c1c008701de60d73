package host

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

// The test binary runs in a network namespace of its own, which is the node; see package node.
func TestMain(m *testing.M) { node.Main(m) }

const deadline = 10 * time.Second

// rig is a node with eth0 to the outside, OVS, and room for a Host.
//
//	outside (192.0.2.254, 192.0.2.2 as another node, 198.51.100.10) ── eth0 (192.0.2.1) node
//	pods (router 100.64.0.1, Pods 10.16.0.5 and 10.17.0.5) ── br-int ── ovn0
type rig struct {
	t       *testing.T
	node    *node.Node
	ovs     *vsctl
	outside string
	cfg     Config

	mu      sync.Mutex
	ops     []string // since the last start or mark
	passes  atomic.Int64
	reports chan Report
}

func newRig(t *testing.T, datapath Datapath) *rig {
	n := node.Start(t, node.Options{Bare: true})
	r := &rig{t: t, node: n, ovs: newVSCtl(t, n), outside: n.NewNetNS(), reports: make(chan Report, 1000)}
	r.cfg = Config{
		NodeName: "heddle-1", Datapath: datapath, EncapIP: netip.MustParseAddr("192.0.2.1"), OVS: r.ovs, Log: logr.Discard(),
		ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12"), netip.MustParsePrefix("fd00:10:96::/112")},
		Report:       r.report,
	}
	t.Cleanup(r.clean)
	r.lines("", `
		sysctl -qw net.ipv4.ip_forward=0
		sysctl -qw net.ipv6.conf.all.forwarding=0
		ip link add eth0 type veth peer name up0 netns OUTSIDE
		ip link set eth0 address 02:00:00:00:00:01
		ip addr add 192.0.2.1/24 dev eth0
		ip addr add 2001:db8:1::1/64 dev eth0 nodad
		ip link set eth0 up`)
	n.FinishChecksums(r.outside, "up0")
	r.lines(r.outside, `
		ip addr add 192.0.2.254/24 dev up0
		ip addr add 192.0.2.2/24 dev up0
		ip addr add 198.51.100.10/32 dev lo
		ip addr add 2001:db8:1::fe/64 dev up0 nodad
		ip addr add 2001:db8:1::2/64 dev up0 nodad
		ip addr add 2001:db8:2::10/128 dev lo
		ip link set lo up
		ip link set up0 up
		ip route add 10.0.0.0/8 via 192.0.2.1
		ip route add fd00::/8 via 2001:db8:1::1`)
	r.lines("", `
		ip route add default via 192.0.2.254 proto dhcp metric 100
		ip route add default via 2001:db8:1::fe`)
	return r
}

// clean takes away what a test left in the node's namespace, for the next test.
func (r *rig) clean() {
	for _, args := range []string{"link del eth0", "link del br-phy", "link del ovn0", "route flush proto 72", "-6 route flush proto 72"} {
		_, _ = r.node.Exec("", "ip", strings.Fields(args)...)
	}
	for _, table := range []string{"inet heddle", "netdev heddle", "inet other"} {
		_, _ = r.node.Exec("", "nft", "delete table "+table)
	}
}

// lines runs commands, one a line; OUTSIDE is the outside's namespace.
func (r *rig) lines(netns, commands string) {
	r.t.Helper()
	for line := range strings.Lines(commands) {
		if args := strings.Fields(strings.ReplaceAll(line, "OUTSIDE", r.outside)); len(args) > 0 {
			r.node.MustExec(netns, args[0], args[1:]...)
		}
	}
}

func (r *rig) report(p Report) {
	r.mu.Lock()
	r.ops = append(r.ops, p.Operations...)
	r.mu.Unlock()
	r.passes.Add(1)
	r.reports <- p
}

// start runs a fresh Host; stop ends it and waits.
func (r *rig) start(in *Input) (h *Host, stop func()) {
	r.mark()
	h = New(r.cfg)
	if in != nil {
		h.Update(*in)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				r.t.Errorf("Run: %v", err)
			}
		})
	}
	r.t.Cleanup(stop)
	return h, stop
}

// quiet waits until the events of our own operations are over: then only what the test does next can wake the Host.
func (r *rig) quiet() {
	r.t.Helper()
	for idle := 0; idle < 3; idle++ {
		before := len(r.operations())
		r.nudge()
		if len(r.operations()) > before {
			idle = 0
		}
	}
	r.mark()
}

// nudge makes the Host do a pass. The channel has no buffer: that the Host takes the value means that it was idle.
func (r *rig) nudge() {
	r.t.Helper()
	select {
	case r.ovs.changed <- struct{}{}:
	case <-time.After(deadline):
		r.t.Fatal("the Host does not listen")
	}
	passes := r.passes.Load()
	r.untilReport("a pass", func(Report) bool { return r.passes.Load() > passes })
}

// mark forgets operations and reports so far.
func (r *rig) mark() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = nil
	for {
		select {
		case <-r.reports:
		default:
			return
		}
	}
}

func (r *rig) operations() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.ops...)
}

// until looks now and after each pass whether it is so.
func (r *rig) until(what string, so func() bool) {
	r.t.Helper()
	if !so() {
		r.untilReport(what, func(Report) bool { return so() })
	}
}

// untilReport waits for the report of a pass.
func (r *rig) untilReport(what string, is func(Report) bool) {
	r.t.Helper()
	end := time.After(deadline)
	var last Report
	for {
		select {
		case last = <-r.reports:
			if is(last) {
				return
			}
		case <-end:
			r.t.Fatalf("%s: not within %s; last pass %+v; operations %q", what, deadline, last, r.operations())
		}
	}
}

func (r *rig) untilReady(h *Host) {
	r.t.Helper()
	r.until("ready", func() bool { return h.Ready() == nil })
}

// settle starts a fresh Host and wants it to be ready without a single operation.
func (r *rig) restartDoesNothing(in Input) {
	r.t.Helper()
	h, stop := r.start(&in)
	r.untilReady(h)
	stop()
	if ops := r.operations(); len(ops) != 0 {
		r.t.Errorf("a restart did %q", ops)
	}
}

// has reports whether the output of a command in the node has the text.
func (r *rig) has(want, name string, args ...string) bool {
	out, err := r.node.Exec("", name, args...)
	return err == nil && strings.Contains(out, want)
}

// ask sends a packet and tells from where the other side sees it come.
func (r *rig) ask(fromNS, from, toNS, to string) string {
	r.t.Helper()
	source, err := askUDP(fromNS, from, toNS, to)
	if err != nil {
		r.t.Fatalf("%s → %s: %v", from, to, err)
	}
	return source
}

func in(netns string, do func() error) error {
	if netns == "" {
		return do()
	}
	return ns.WithNetNSPath(netns, func(ns.NetNS) error { return do() })
}

func dualInput() Input {
	return Input{
		IP: "100.64.0.2,fd00:100:64::2", MAC: "0a:58:64:40:00:02", CIDR: "100.64.0.0/16,fd00:100:64::/112",
		Gateway: "100.64.0.1,fd00:100:64::1",
		Subnets: []Subnet{
			{Name: "ovn-default", CIDR: "10.16.0.0/16,fd00:10:16::/112", NATOutgoing: true},
			{Name: "open", CIDR: "10.17.0.0/24,fd00:10:17::/112"},
		},
		NodeIPs: []string{"192.0.2.1", "192.0.2.2", "2001:db8:1::1", "2001:db8:1::2"},
	}
}
