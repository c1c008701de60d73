package host

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestBarrier reports a firewall that drops what Pods send through the node, until it lets them pass.
func TestBarrier(t *testing.T) {
	r := newRig(t, DatapathNetdev)
	var problems []string
	h, _ := r.start(ptr(dualInput()))
	r.untilReady(h)
	t.Cleanup(func() { _, _ = r.node.Exec("", "nft", "delete", "table", "ip", "filter") })
	barred := func() bool {
		return slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, "ip filter, chain FORWARD") })
	}
	untilBarred := func(want bool) {
		r.untilReport(fmt.Sprint("barred: ", want), func(last Report) bool {
			problems = last.Problems
			return barred() == want
		})
	}
	r.lines("", `
		nft add table ip filter
		nft add chain ip filter FORWARD { type filter hook forward priority filter ; policy drop ; }`)
	untilBarred(true)
	// A rule that the library cannot read: its chain is taken for one that does not know of us.
	r.lines("", `
		nft add chain ip filter odd { type filter hook forward priority filter - 1 ; policy drop ; }
		nft add map ip filter seen { type ipv4_addr : ipv4_addr ; flags dynamic,timeout ; timeout 10s ; }
		nft add rule ip filter odd ct original ip saddr 10.0.0.1 update @seen { ct original ip saddr : ip daddr } accept
		nft add rule ip filter odd meta mark set numgen random mod 3 offset 1`)
	r.untilReport("the odd chain", func(last Report) bool {
		return slices.ContainsFunc(last.Problems, func(p string) bool { return strings.Contains(p, "ip filter, chain odd") })
	})
	r.lines("", "nft delete chain ip filter odd")
	r.lines("", `nft insert rule ip filter FORWARD iifname ovn0 accept`)
	untilBarred(false)
}

// TestUnconcerned makes noise that Pods and other daemons make, and wants it to cost no look at the node.
func TestUnconcerned(t *testing.T) {
	r := newRig(t, DatapathNetdev)
	h, stop := r.start(ptr(dualInput()))
	r.untilReady(h)
	// The kernel makes link-local addresses on our links, and says so again when it knows them to be unique, seconds later.
	r.until("the links' own addresses are there", func() bool { return !r.has("inet6", "ip", "-6", "addr", "show", "tentative") })
	r.lines("", "ip route del 10.16.0.0/16")
	r.until("route", func() bool { return r.has("10.16.0.0/16", "ip", "route") })
	r.quiet()
	t.Cleanup(func() { _, _ = r.node.Exec("", "nft", "delete", "table", "ip", "noise") })
	r.lines("", "nft add table ip noise")
	for i := range 20 {
		r.lines("", fmt.Sprintf(`
			ip link add noise%[1]d type veth peer name esion%[1]d
			ip addr add 203.0.113.%[1]d/32 dev noise%[1]d
			ip link set noise%[1]d up
			ip route add 203.0.113.1%[1]d dev noise%[1]d
			nft add chain ip noise c%[1]d
			ip link del noise%[1]d`, i+10))
	}
	passes := 0
	r.lines("", "ip route del 10.16.0.0/16")
	r.untilReport("route", func(Report) bool {
		passes++
		return r.has("10.16.0.0/16", "ip", "route")
	})
	stop()
	if passes > 2 { // one puts the route back
		t.Errorf("120 changes that are not ours led to %d looks at the node", passes)
	}
}
