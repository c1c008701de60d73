package host

import (
	"strings"
	"testing"
	"time"
)

// TestRepair takes away what is ours, piece by piece, and wants each back by the event.
func TestRepair(t *testing.T) {
	r := newRig(t, DatapathNetdev)
	h, stop := r.start(ptr(dualInput()))
	r.untilReady(h)
	nft := func(want string) func() bool {
		return func() bool { return r.has(want, "nft", "list", "table", "inet", "heddle") }
	}
	ip := func(want string, args ...string) func() bool {
		return func() bool { return r.has(want, "ip", args...) }
	}
	for _, c := range []struct {
		name, damage string
		repaired     func() bool
	}{
		{"IPv4 route", "ip route del 10.16.0.0/16", ip("10.16.0.0/16 via 100.64.0.1 dev ovn0 proto 72 src 100.64.0.2", "route")},
		{"IPv6 route", "ip -6 route del fd00:10:16::/112", ip("fd00:10:16::/112 via fd00:100:64::1 dev ovn0 proto 72", "-6", "route")},
		{"connected route", "ip route del 100.64.0.0/16", ip("100.64.0.0/16 dev ovn0", "route")},
		{"all routes of ovn0", "ip route flush dev ovn0", ip("10.96.0.0/12 via 100.64.0.1", "route")},
		{"route changed", "ip route change 10.16.0.0/16 dev ovn0 proto 72", ip("10.16.0.0/16 via 100.64.0.1", "route")},
		{"IPv4 address", "ip addr del 100.64.0.2/16 dev ovn0", ip("10.16.0.0/16 via 100.64.0.1 dev ovn0 proto 72 src 100.64.0.2", "route")},
		{"IPv6 address", "ip addr del fd00:100:64::2/112 dev ovn0", ip("fd00:100:64::2/112", "addr", "show", "ovn0")},
		{"link down", "ip link set ovn0 down", ip("10.16.0.0/16 via", "route")},
		{"MTU", "ip link set ovn0 mtu 1280", ip("mtu 1400", "link", "show", "ovn0")},
		{"MAC", "ip link set ovn0 address 02:00:00:00:00:99", ip("0a:58:64:40:00:02", "link", "show", "ovn0")},
		{"forwarding", "sysctl -w net.ipv4.ip_forward=0", func() bool { return r.has("1", "cat", "/proc/sys/net/ipv4/ip_forward") }},
		{"IPv6 forwarding", "sysctl -w net.ipv6.conf.all.forwarding=0", func() bool { return r.has("1", "cat", "/proc/sys/net/ipv6/conf/all/forwarding") }},
		{"nftables table", "nft delete table inet heddle", nft("masquerade fully-random")},
		{"nftables, everything", "nft flush ruleset", nft("masquerade fully-random")},
		{"ingress table", "nft delete table netdev heddle", func() bool { return r.has("drop", "nft", "list", "table", "netdev", "heddle") }},
		{"nftables rules", "nft flush chain inet heddle postrouting", nft("masquerade fully-random")},
		{"nftables element", "nft delete element inet heddle nat-outgoing-v4 { 10.16.0.0/16 }", nft("10.16.0.0/16")},
		{"set flushed", "nft flush set inet heddle nodes-v6", nft("2001:db8:1::2")},
		{"br-phy address", "ip addr del 192.0.2.1/24 dev br-phy", ip("192.0.2.1/24", "addr", "show", "br-phy")},
		{"default route", "ip route del default", ip("default via 192.0.2.254 dev br-phy proto dhcp metric 100", "route")},
		{"ovn0 removed from OVS", "ovs-vsctl --no-wait --db=" + r.node.OVS + " del-port ovn0", ip("10.16.0.0/16 via 100.64.0.1 dev ovn0 proto 72 src 100.64.0.2", "route")},
		{"br-phy removed from OVS", "ovs-vsctl --no-wait --db=" + r.node.OVS + " del-br br-phy", ip("default via 192.0.2.254 dev br-phy", "route")},
		{"iface-id", "ovs-vsctl --no-wait --db=" + r.node.OVS + " remove Interface ovn0 external_ids iface-id", func() bool {
			return strings.Contains(r.node.VSCtl("get", "Interface", "ovn0", "external_ids"), "node-heddle-1")
		}},
	} {
		r.quiet()
		r.lines("", c.damage)
		damaged := time.Now()
		byOVS := c.name == "MTU" || c.name == "MAC" // ovs-vswitchd may be faster than we are
		r.until(c.name, func() bool { return (byOVS || len(r.operations()) > 0) && c.repaired() && h.Ready() == nil })
		t.Logf("%s: %d operations, %s", c.name, len(r.operations()), time.Since(damaged).Round(time.Millisecond))
	}
	stop()
	r.restartDoesNothing(dualInput())
}

// TestForeign wants everything that is not ours as it was, also after a teardown.
func TestForeign(t *testing.T) {
	r := newRig(t, DatapathNetdev)
	r.lines("", `
		ip route add 203.0.113.0/24 via 192.0.2.254
		ip rule add to 203.0.113.0/24 lookup 100
		nft add table inet other
		nft add set inet other nat-outgoing-v4 { type ipv4_addr ; }
		nft add element inet other nat-outgoing-v4 { 203.0.113.7 }
		ip link add other type veth peer name rehto
		ip addr add 203.0.113.9/32 dev other
		ip link set other up
		ip route add 10.17.0.0/24 dev other`)
	t.Cleanup(func() {
		_, _ = r.node.Exec("", "ip", "link", "del", "other")
		_, _ = r.node.Exec("", "ip", "rule", "del", "to", "203.0.113.0/24")
	})
	foreign := func() string {
		return r.node.MustExec("", "nft", "list", "table", "inet", "other") + r.node.MustExec("", "ip", "rule") +
			r.node.MustExec("", "ip", "-4", "addr", "show", "other") + r.node.MustExec("", "ip", "route", "show", "dev", "other")
	}
	before := foreign()
	h, stop := r.start(ptr(dualInput()))
	r.untilReady(h)
	if got := foreign(); got != before {
		t.Errorf("foreign state was\n%s\nand is\n%s", before, got)
	}
	if !r.has("203.0.113.0/24 via 192.0.2.254 dev br-phy", "ip", "route") {
		t.Error("a static route of the uplink did not move")
	}
	r.lines("", "ip route del 10.17.0.0/24 dev other")
	r.until("the Subnet's route once the foreign one is gone", func() bool { return r.has("10.17.0.0/24 via 100.64.0.1", "ip", "route") })
	stop()
	if err := New(r.cfg).Teardown(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.lines("", "ip route add 10.17.0.0/24 dev other")
	if got := foreign(); got != before {
		t.Errorf("after teardown, foreign state was\n%s\nand is\n%s", before, got)
	}
}
