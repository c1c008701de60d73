package host

import (
	"net/netip"
	"strings"
	"testing"
)

// TestAnnounced has addresses of a Service on the uplink, as package announce puts them there. What the node itself serves is not
// reached by them, and they are no part of the node's own network: not in the record of the uplink, and not moved.
func TestAnnounced(t *testing.T) {
	r, h, stop, _ := newServiceRig(t)
	in := serviceInput()
	in.Services[0].ExternalIPs = append(in.Services[0].ExternalIPs, netip.MustParseAddr("2001:db8:1::80"))
	in.Balancers = []netip.Addr{netip.MustParseAddr("203.0.113.80"), netip.MustParseAddr("2001:db8:1::80")}
	h.Update(in)
	r.until("the guard", func() bool { return r.has("203.0.113.80 }", "nft", "list", "set", "inet", "heddle", "balancers-v4") })
	r.lines("", `
		ip addr add 203.0.113.80/32 dev br-phy valid_lft 3000 preferred_lft 0 noprefixroute
		ip addr add 2001:db8:1::80/128 dev br-phy valid_lft 3000 preferred_lft 0 noprefixroute nodad
		ip addr replace 203.0.113.80/32 dev br-phy valid_lft 2000 preferred_lft 0 noprefixroute`)
	for _, at := range []string{"203.0.113.80:22", "[2001:db8:1::80]:22"} {
		r.serve("", "tcp", at)
		r.serve("", "udp", at)
		for _, protocol := range []string{"tcp", "udp"} {
			if got := say(r.outside, "", protocol, at); got != "refused" {
				t.Errorf("%s %s: %s, want to be refused", protocol, at, got)
			}
		}
	}
	if got := say(r.outside, "198.51.100.10", "tcp", "203.0.113.80:80"); !strings.HasPrefix(got, "10.96.0.10:80 ") {
		t.Errorf("the Service's own port: %s", got)
	}
	if got := say(r.outside, "2001:db8:2::10", "tcp", "[2001:db8:1::80]:80"); !strings.HasPrefix(got, "[fd00:10:96::10]:80 ") {
		t.Errorf("the Service's own port: %s", got)
	}
	stop()
	r.restartDoesNothing(in)
	if record := r.node.VSCtl("get", "Bridge", "br-phy", "external_ids"); strings.Contains(record, "203.0.113.80") {
		t.Errorf("recorded as the uplink's: %s", record)
	}
	if err := New(r.cfg).Teardown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.has("203.0.113.80", "ip", "addr", "show", "eth0") || !r.has("192.0.2.1/24", "ip", "addr", "show", "eth0") {
		t.Errorf("after it all: %s", r.node.MustExec("", "ip", "addr", "show", "eth0"))
	}
}

// TestAnnouncedIsGuarded: without the guard, what the node serves is reached.
func TestAnnouncedIsGuarded(t *testing.T) {
	r, _, _, _ := newServiceRig(t)
	r.lines("", "ip addr add 203.0.113.80/32 dev br-phy valid_lft 3000 preferred_lft 0 noprefixroute")
	r.serve("", "tcp", "203.0.113.80:22")
	if got := say(r.outside, "198.51.100.10", "tcp", "203.0.113.80:22"); !strings.HasPrefix(got, "203.0.113.80:22") {
		t.Errorf("an address that is none of ours: %s", got)
	}
}
