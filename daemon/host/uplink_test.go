package host

import (
	"errors"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

// uplinkState is what an administrator would compare before and after: the NIC and the main tables. Whether the kernel
// was told the broadcast address makes no difference.
func (r *rig) uplinkState() string {
	out := r.node.MustExec("", "ip", "-o", "addr", "show", "dev", "eth0", "scope", "global") +
		r.node.MustExec("", "ip", "route") + r.node.MustExec("", "ip", "-6", "route", "show", "default") + r.node.MustExec("", "nft", "list", "ruleset")
	out += regexp.MustCompile(`generic-receive-offload: \S+`).FindString(r.node.MustExec("", "ethtool", "-k", "eth0"))
	return regexp.MustCompile(` brd \S+`).ReplaceAllString(out, "")
}

func (r *rig) moved() bool {
	return r.has("192.0.2.1/24", "ip", "addr", "show", "br-phy") && r.has("2001:db8:1::1/64", "ip", "addr", "show", "br-phy") &&
		!r.has("192.0.2.1", "ip", "addr", "show", "eth0") && r.has("02:00:00:00:00:01", "ip", "link", "show", "br-phy") &&
		r.has("default via 192.0.2.254 dev br-phy proto dhcp metric 100", "ip", "route") &&
		r.has("default via 2001:db8:1::fe dev br-phy", "ip", "-6", "route") && !r.has("dev eth0", "ip", "route")
}

func (r *rig) reachesOutside() {
	r.t.Helper()
	if seen := r.ask("", "", r.outside, "198.51.100.10"); seen != "192.0.2.1" {
		r.t.Errorf("the node is seen as %s", seen)
	}
	if seen := r.ask("", "", r.outside, "2001:db8:2::10"); seen != "2001:db8:1::1" {
		r.t.Errorf("the node is seen as %s", seen)
	}
}

// partly does the first operations of what compile wants, as a process does that is killed then, and reports whether
// there would have been more.
func (r *rig) partly(operations int, compile func(Facts) Desired) (more bool) {
	r.t.Helper()
	w, err := openWatcher()
	if err != nil {
		r.t.Fatal(err)
	}
	defer w.close()
	k, err := openKernel(r.ovs)
	if err != nil {
		r.t.Fatal(err)
	}
	defer k.close()
	for end := time.After(deadline); ; {
		f, err := k.facts(r.t.Context(), r.cfg, nil)
		if err != nil {
			r.t.Fatal(err)
		}
		want := compile(f)
		k.tables = nil
		have, err := k.observe(r.t.Context(), want)
		if err != nil {
			r.t.Fatal(err)
		}
		p := MakePlan(have, want)
		for _, lane := range p.Lanes {
			for _, op := range lane {
				if operations == 0 {
					r.t.Logf("killed before %q", op)
					return true
				}
				operations--
				if err := op.apply(r.t.Context(), k); err != nil {
					r.t.Fatal(err)
				}
			}
		}
		if p.Empty() && len(p.Waiting) == 0 {
			return false
		}
		select {
		case <-w.dirty:
		case <-r.ovs.changed:
		case <-end:
			r.t.Fatalf("waits for %q", p.Waiting)
		}
	}
}

// TestUplinkKilled is killed between any two steps of the way into br-phy and back; each time a rerun completes, and the
// node reaches the outside after both ways.
func TestUplinkKilled(t *testing.T) {
	r := newRig(t, DatapathNetdev)
	r.lines("", "ethtool -K eth0 gro on")
	before := r.uplinkState()
	for step, more := 0, true; more; step++ {
		there := r.partly(step, func(f Facts) Desired { return Compile(r.cfg, nil, f) })
		_, stop := r.start(nil)
		r.until("uplink in br-phy", r.moved)
		r.reachesOutside()
		stop()

		back := r.partly(step, CompileTeardown)
		if err := New(r.cfg).Teardown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := r.uplinkState(); after != before {
			t.Fatalf("step %d: the node was\n%s\nand is\n%s", step, before, after)
		}
		r.reachesOutside()
		more = there || back
	}
}

// restartVSwitchd ends ovs-vswitchd and removes br-phy and ovn0, as another boot does. A killed ovs-vswitchd leaves them
// behind (TUNSETPERSIST), and they keep their addresses.
func (r *rig) restartVSwitchd() {
	r.t.Helper()
	r.node.Kill(node.VSwitchd)
	r.lines("", `
		ip link del br-phy
		ip link del ovn0`)
	r.node.StartProcess(node.VSwitchd)
}

// TestVSwitchdRestart loses br-phy and ovn0, and gets them back with addresses and routes; without the API server too.
func TestVSwitchdRestart(t *testing.T) {
	r := newRig(t, DatapathNetdev)
	in := dualInput()
	h, stop := r.start(&in)
	r.untilReady(h)
	r.mark()
	r.restartVSwitchd()
	r.until("overlay and uplink", func() bool {
		return len(r.operations()) > 0 && h.Ready() == nil && r.moved() && r.has("10.16.0.0/16 via 100.64.0.1", "ip", "route")
	})
	r.reachesOutside()
	stop()
	r.restartDoesNothing(in)

	r.restartVSwitchd()
	h, _ = r.start(nil)
	r.until("uplink by a fresh process without the API server", r.moved)
	r.reachesOutside()
	h.Update(in)
	r.untilReady(h)

	r.mark()
	r.node.Restart(node.VSwitchd)
	r.reachesOutside()
	if ops := r.operations(); len(ops) != 0 {
		t.Errorf("when ovs-vswitchd was killed and br-phy stayed, we did %q", ops)
	}
}

// TestReboot boots a node whose OVS database knows br-phy, but whose administrator has given the NIC another gateway.
func TestReboot(t *testing.T) {
	r := newRig(t, DatapathNetdev)
	h, stop := r.start(ptr(dualInput()))
	r.untilReady(h)
	stop()
	r.node.Kill(node.VSwitchd)
	r.lines("", `
		ip link del br-phy
		ip link del ovn0
		nft flush ruleset
		ip addr add 192.0.2.1/24 dev eth0
		ip addr add 192.0.2.7/24 dev eth0
		ip route add default via 192.0.2.2`)
	r.node.StartProcess(node.VSwitchd)
	h, stop = r.start(ptr(dualInput()))
	r.untilReady(h)
	if !r.has("default via 192.0.2.2 dev br-phy", "ip", "route") || !r.has("192.0.2.7/24", "ip", "addr", "show", "br-phy") {
		t.Errorf("not what the NIC had:\n%s", r.node.MustExec("", "ip", "route"))
	}
	if r.has("192.0.2.254", "ip", "route") {
		t.Error("the gateway of the last boot is back")
	}
	stop()
	r.restartDoesNothing(dualInput())
}

// TestOneAnswer wants the host's stack not to answer beside br-phy for packets of the NIC.
func TestOneAnswer(t *testing.T) {
	r := newRig(t, DatapathNetdev)
	r.start(nil)
	r.until("uplink in br-phy", func() bool {
		return r.moved() && r.has("drop", "nft", "list", "table", "netdev", "heddle")
	})
	r.reachesOutside()
	out := r.node.MustExec(r.outside, "ping", "-c", "3", "-i", "0.2", "192.0.2.1")
	if strings.Contains(out, "DUP") || !strings.Contains(out, " 3 received") {
		t.Errorf("ping from the outside:\n%s", out)
	}
}

// TestOVSOutOfReach repairs routes while the database does not answer, and says so.
func TestOVSOutOfReach(t *testing.T) {
	r := newRig(t, DatapathNetdev)
	h, _ := r.start(ptr(dualInput()))
	r.untilReady(h)
	r.ovs.fail.Store(true)
	r.lines("", "ip route del 10.16.0.0/16")
	r.until("route", func() bool { return r.has("10.16.0.0/16 via 100.64.0.1", "ip", "route") })
	if err := h.Ready(); !errors.Is(err, errOutOfReach) {
		t.Errorf("Ready is %v", err)
	}
	r.ovs.fail.Store(false)
	r.untilReady(h)
}

// TestOVSGone ends all of Open vSwitch, as the deletion of its Pod does: the node keeps its network, without which no kubelet would start
// the next Pod.
func TestOVSGone(t *testing.T) {
	r := newRig(t, DatapathNetdev)
	before := r.uplinkState()
	h, _ := r.start(ptr(dualInput()))
	r.untilReady(h)
	r.until("uplink in br-phy", r.moved)
	r.ovs.fail.Store(true)
	r.node.Kill(node.VSwitchd)
	r.until("the NIC has its addresses", func() bool {
		return r.has("192.0.2.1/24", "ip", "addr", "show", "eth0") && !r.has("192.0.2.1", "ip", "addr", "show", "br-phy")
	})
	r.reachesOutside()
	for line := range strings.Lines(before) {
		if strings.Contains(line, "default via") && !strings.Contains(r.uplinkState(), line) {
			t.Errorf("missing: %s", line)
		}
	}
	if err := h.Ready(); !errors.Is(err, errOutOfReach) {
		t.Errorf("Ready is %v", err)
	}
	r.node.StartProcess(node.VSwitchd)
	r.ovs.fail.Store(false)
	r.nudge() // a client tells of its new connection; the next try could be later than this test waits
	r.until("uplink in br-phy again", func() bool { return h.Ready() == nil && r.moved() })
	r.reachesOutside()
}

// TestForeignBridge leaves the uplink alone when somebody else has a bridge of that name.
func TestForeignBridge(t *testing.T) {
	r := newRig(t, DatapathNetdev)
	r.node.VSCtl("add-br", "br-phy", "--", "set", "Bridge", "br-phy", "datapath_type=netdev")
	r.start(ptr(dualInput()))
	r.until("problem", func() bool { return r.has("100.64.0.2", "ip", "addr", "show", "ovn0") })
	if !r.has("192.0.2.1/24", "ip", "addr", "show", "eth0") {
		t.Error("the uplink lost its address")
	}
}

// TestKernelDatapath wants the uplink to stay where it is. Without the kernel's module a tap stands for the port that it would make.
func TestKernelDatapath(t *testing.T) {
	r := newRig(t, DatapathKernel)
	if !node.Kernel() {
		r.lines("", `
			ip tuntap add ovn0 mode tap
			ip link set ovn0 mtu 1400`)
	}
	before := r.uplinkState()
	h, stop := r.start(ptr(dualInput()))
	r.untilReady(h)
	if link, err := net.InterfaceByName("br-phy"); err == nil {
		t.Errorf("there is a link %s", link.Name)
	}
	if !r.has("2", "cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra") {
		t.Error("eth0 does not accept router advertisements any more")
	}
	stop()
	r.restartDoesNothing(dualInput())
	if err := New(r.cfg).Teardown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := r.uplinkState(); after != before {
		t.Errorf("the node was\n%s\nand is\n%s", before, after)
	}
}
