package host

import (
	"testing"

	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

// connectPods puts a router with Pods behind it on br-int, in the place of OVN.
func (r *rig) connectPods() (pods string) {
	r.t.Helper()
	pods = r.node.NewNetNS()
	r.lines("", "ip link add pods0 type veth peer name router netns "+pods+`
		ip link set pods0 up`)
	r.node.FinishChecksums("", "pods0")
	r.node.FinishChecksums(pods, "router")
	r.lines(pods, `
		ip link set lo up
		ip link set router up
		ip addr add 100.64.0.1/16 dev router
		ip addr add fd00:100:64::1/112 dev router nodad
		ip addr add 10.16.0.5/32 dev lo
		ip addr add 10.17.0.5/32 dev lo
		ip addr add fd00:10:16::5/128 dev lo
		ip addr add fd00:10:17::5/128 dev lo
		ip route add default via 100.64.0.2
		ip route add default via fd00:100:64::2`)
	r.node.VSCtl("--no-wait", "add-port", "br-int", "pods0")
	r.node.MustExec("", "ovs-ofctl", "add-flow", r.node.Dir+"/br-int.mgmt", "actions=NORMAL")
	r.t.Cleanup(func() { _, _ = r.node.Exec("", "ip", "link", "del", "pods0") })
	return pods
}

// TestPackets asks who is seen as the sender, in both families.
func TestPackets(t *testing.T) {
	r := newRig(t, Datapath(node.Datapath()))
	in := dualInput()
	in.Subnets = append(in.Subnets, Subnet{Name: "elsewhere", CIDR: "10.18.0.0/24,fd00:10:18::/112"})
	h, _ := r.start(&in)
	r.untilReady(h)
	pods := r.connectPods()
	// A part of the cluster that a foreign route leads to by the uplink.
	r.lines(r.outside, `
		ip addr add 10.18.0.9/32 dev lo
		ip addr add fd00:10:18::9/128 dev lo`)
	r.lines("", `
		ip route add 10.18.0.9/32 via 192.0.2.254
		ip route add fd00:10:18::9/128 via 2001:db8:1::fe`)
	for _, c := range []struct{ what, fromNS, from, toNS, to, seen string }{
		{"natOutgoing to the outside", pods, "10.16.0.5", r.outside, "198.51.100.10", "192.0.2.1"},
		{"no natOutgoing to the outside", pods, "10.17.0.5", r.outside, "198.51.100.10", "10.17.0.5"},
		{"Pod to another node", pods, "10.16.0.5", r.outside, "192.0.2.2", "10.16.0.5"},
		{"Pod to a Subnet by the uplink", pods, "10.16.0.5", r.outside, "10.18.0.9", "10.16.0.5"},
		{"Pod to its own node", pods, "10.16.0.5", "", "192.0.2.1", "10.16.0.5"},
		{"node to Pod", "", "", pods, "10.16.0.5", "100.64.0.2"},
		{"outside to Pod", r.outside, "198.51.100.10", pods, "10.16.0.5", "198.51.100.10"},
		{"natOutgoing to the outside", pods, "fd00:10:16::5", r.outside, "2001:db8:2::10", "2001:db8:1::1"},
		{"no natOutgoing to the outside", pods, "fd00:10:17::5", r.outside, "2001:db8:2::10", "fd00:10:17::5"},
		{"Pod to another node", pods, "fd00:10:16::5", r.outside, "2001:db8:1::2", "fd00:10:16::5"},
		{"Pod to a Subnet by the uplink", pods, "fd00:10:16::5", r.outside, "fd00:10:18::9", "fd00:10:16::5"},
		{"Pod to its own node", pods, "fd00:10:16::5", "", "2001:db8:1::1", "fd00:10:16::5"},
		{"node to Pod", "", "", pods, "fd00:10:16::5", "fd00:100:64::2"},
		{"outside to Pod", r.outside, "2001:db8:2::10", pods, "fd00:10:16::5", "2001:db8:2::10"},
	} {
		if seen := r.ask(c.fromNS, c.from, c.toNS, c.to); seen != c.seen {
			t.Errorf("%s: %q → %s is seen as from %s, want %s", c.what, c.from, c.to, seen, c.seen)
		}
	}
}

func ptr[T any](v T) *T { return &v }
