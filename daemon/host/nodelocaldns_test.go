package host

import "testing"

// TestNodeLocalDNS has a DNS server at addresses of the node, as NodeLocal DNSCache does it: on a link of its own, and without connection
// tracking. The answer's source is the address that was asked, and the server sees the Pod.
func TestNodeLocalDNS(t *testing.T) {
	r, _, _, pods := newServiceRig(t)
	t.Cleanup(func() {
		_, _ = r.node.Exec("", "ip", "link", "del", "nodelocaldns")
		_, _ = r.node.Exec("", "nft", "delete", "table", "inet", "other")
	})
	ask := func(how string) {
		t.Helper()
		for _, protocol := range []string{"tcp", "udp"} {
			for from, at := range map[string]string{"10.16.0.5": "169.254.20.10", "fd00:10:16::5": "[fd00:10:254::10]"} {
				if got, want := say(pods, from, protocol, at+":53"), at+":53 "+from; got != want {
					t.Errorf("%s: %s from %s to %s: %s, want %s", how, protocol, from, at, got, want)
				}
			}
		}
	}
	r.lines("", `
		ip link add nodelocaldns type bridge
		ip link set nodelocaldns up
		ip addr add 169.254.20.10/32 dev nodelocaldns
		ip addr add fd00:10:254::10/128 dev nodelocaldns nodad`)
	for _, protocol := range []string{"tcp", "udp"} {
		r.serve("", protocol, "169.254.20.10:53")
		r.serve("", protocol, "[fd00:10:254::10]:53")
	}
	ask("tracked")
	r.lines("", `
		nft add table inet other
		nft add chain inet other in { type filter hook prerouting priority raw ; }
		nft add chain inet other out { type filter hook output priority raw ; }
		nft add rule inet other in ip daddr 169.254.20.10 notrack
		nft add rule inet other in ip6 daddr fd00:10:254::10 notrack
		nft add rule inet other out ip saddr 169.254.20.10 notrack
		nft add rule inet other out ip6 saddr fd00:10:254::10 notrack`)
	ask("not tracked")
}
