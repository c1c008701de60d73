package host

import (
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

// TestServicePackets asks at the node's frontends, from all sides: who answers, and whom did it see?
func TestServicePackets(t *testing.T) {
	r, _, stop, pods := newServiceRig(t)
	for _, protocol := range []string{"tcp", "udp"} {
		for _, c := range []struct{ what, netns, from, to, want string }{
			{"NodePort, policy Cluster", r.outside, "198.51.100.10", "192.0.2.1:30080", "10.96.0.10:80 100.64.0.2"},
			{"NodePort, policy Cluster", r.outside, "2001:db8:2::10", "[2001:db8:1::1]:30080", "[fd00:10:96::10]:80 fd00:100:64::2"},
			{"external address", r.outside, "198.51.100.10", "203.0.113.80:80", "10.96.0.10:80 100.64.0.2"},
			{"NodePort from the node", "", "", "192.0.2.1:30080", "10.96.0.10:80 100.64.0.2"},
			{"NodePort from the node", "", "", "[2001:db8:1::1]:30080", "[fd00:10:96::10]:80 fd00:100:64::2"},
			{"external address from the node", "", "", "203.0.113.80:80", "10.96.0.10:80 100.64.0.2"},
			{"NodePort from a Pod", pods, "10.16.0.5", "192.0.2.1:30080", "10.96.0.10:80 100.64.0.2"},
			{"NodePort at loopback", "", "", "127.0.0.1:30080", "refused"},
			{"no endpoint", r.outside, "198.51.100.10", "192.0.2.1:30081", "refused"},
			{"no endpoint", r.outside, "2001:db8:2::10", "[2001:db8:1::1]:30081", "refused"},
			{"policy Local", r.outside, "198.51.100.10", "192.0.2.1:30082", "10.16.0.5:8080 198.51.100.10"},
			{"policy Local", r.outside, "2001:db8:2::10", "[2001:db8:1::1]:30082", "[fd00:10:16::5]:8080 2001:db8:2::10"},
			{"policy Local, from the node", "", "", "192.0.2.1:30082", "10.96.0.10:80 100.64.0.2"},
			{"policy Local, from a Pod", pods, "10.16.0.5", "192.0.2.1:30082", "10.96.0.10:80 100.64.0.2"},
			{"policy Local, endpoints elsewhere", r.outside, "198.51.100.10", "192.0.2.1:30083", "nothing"},
			{"allowed source", r.outside, "198.51.100.10", "203.0.113.81:80", "10.96.0.10:80 100.64.0.2"},
			{"other source", r.outside, "192.0.2.2", "203.0.113.81:80", "nothing"},
			{"other source, the node", "", "", "203.0.113.81:80", "nothing"},
			{"allowed source", r.outside, "2001:db8:2::10", "[2001:db8:113::81]:80", "[fd00:10:96::10]:80 fd00:100:64::2"},
			{"other source, the node", "", "", "[2001:db8:113::81]:80", "nothing"},
			{"allowed source, a Pod", pods, "10.16.0.5", "203.0.113.81:80", "10.96.0.10:80 100.64.0.2"},
			{"allowed source, a Pod", pods, "fd00:10:16::5", "[2001:db8:113::81]:80", "[fd00:10:96::10]:80 fd00:100:64::2"},
			{"other source, a Pod", pods, "10.17.0.5", "203.0.113.81:80", "nothing"},
			{"other source, a Pod", pods, "fd00:10:17::5", "[2001:db8:113::81]:80", "nothing"},
		} {
			if got := say(c.netns, c.from, protocol, c.to); got != c.want {
				t.Errorf("%s: %s from %q to %s: %s, want %s", c.what, protocol, c.from, c.to, got, c.want)
			}
		}
	}
	for _, c := range []struct{ what, netns, from, to, want string }{
		{"no endpoint, from the node", "", "", "192.0.2.1:30081", "refused"}, // of UDP, the write fails with EPERM
		{"endpoint is the node itself", "", "", "10.96.0.1:443", "192.0.2.1:6443 100.64.0.2"},
		{"endpoint is another node", "", "", "10.96.0.1:444", "192.0.2.2:6443 192.0.2.1"},
		{"NodePort, endpoint is the node itself", r.outside, "198.51.100.10", "192.0.2.1:30085", "192.0.2.1:6443 198.51.100.10"},
		{"NodePort, endpoint is another node", r.outside, "198.51.100.10", "192.0.2.1:30086", "192.0.2.2:6443 192.0.2.1"},
	} {
		if got := say(c.netns, c.from, "tcp", c.to); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	r.hostPort(pods)
	r.quiet()
	stop()
	r.restartDoesNothing(serviceInput())
}

// hostPort translates as portmap does, at the same priority in a table of its own; Services leave it alone.
func (r *rig) hostPort(pods string) {
	r.t.Helper()
	r.t.Cleanup(func() { _, _ = r.node.Exec("", "nft", "delete", "table", "ip", "portmap") })
	r.lines("", `
		nft add table ip portmap
		nft add chain ip portmap prerouting { type nat hook prerouting priority -100 ; }
		nft add chain ip portmap output { type nat hook output priority -100 ; }
		nft add rule ip portmap prerouting ip daddr 192.0.2.1 tcp dport 8088 dnat to 10.16.0.5:8080
		nft add rule ip portmap output ip daddr 192.0.2.1 tcp dport 8088 dnat to 10.16.0.5:8080`)
	for _, c := range []struct{ what, netns, from, want string }{
		{"from outside", r.outside, "198.51.100.10", "10.16.0.5:8080 198.51.100.10"},
		{"from a Pod", pods, "10.17.0.5", "10.16.0.5:8080 100.64.0.2"},
		{"from the node", "", "", "10.16.0.5:8080 100.64.0.2"},
	} {
		if got := say(c.netns, c.from, "tcp", "192.0.2.1:8088"); got != c.want {
			r.t.Errorf("hostPort %s: %s, want %s", c.what, got, c.want)
		}
	}
}

// TestServiceAffinityIPv6 needs an nft that can write the rule that remembers IPv6 clients; nft 1.0.6 of Debian 12 cannot.
func TestServiceAffinityIPv6(t *testing.T) {
	if said, err := exec.Command("nft", "--version").Output(); err == nil && strings.Contains(string(said), "v1.0.6") {
		node.UsePrograms(t, "../../dist/root")
	}
	r := newRig(t, Datapath(node.Datapath()))
	input := serviceInput()
	input.Services = append(input.Services, &Service{Name: "default/sticky6", Affinity: 60, Ports: []ServicePort{{
		VIP: ports("[fd00:10:96::10]:80")[0], Protocol: "tcp", NodePort: 30087, Live: true,
		Pick: ports("[fd00:10:16::5]:8080", "[fd00:10:16::5]:8081", "[fd00:10:16::5]:8082", "[fd00:10:16::5]:8083"),
	}}})
	h, _ := r.start(&input)
	r.untilReady(h)
	pods := r.connectPods()
	for _, at := range []string{"[fd00:10:16::5]:8080", "[fd00:10:16::5]:8081", "[fd00:10:16::5]:8082", "[fd00:10:16::5]:8083"} {
		r.serve(pods, "tcp", at)
	}
	r.ask(r.outside, "2001:db8:2::10", pods, "fd00:10:16::5")
	stay := say(r.outside, "2001:db8:2::10", "tcp", "[2001:db8:1::1]:30087")
	for range 20 {
		if now := say(r.outside, "2001:db8:2::10", "tcp", "[2001:db8:1::1]:30087"); now != stay || !strings.HasSuffix(now, " fd00:100:64::2") {
			t.Fatalf("went to %s, then to %s", stay, now)
		}
	}
}

// TestServiceBeforeOVN reaches the API server by its Service while the node has no join address and no ovn0.
func TestServiceBeforeOVN(t *testing.T) {
	r := newRig(t, DatapathKernel)
	r.ovs.fail.Store(true)
	input := serviceInput()
	input.IP, input.MAC, input.CIDR, input.Gateway = "", "", "", ""
	r.start(&input)
	r.until("the table", func() bool { return r.has("10.96.0.1", "nft", "list", "map", "inet", "heddle", "endpoints-any-tcp-v4") })
	r.serve("", "tcp", "192.0.2.1:6443")
	r.serve(r.outside, "tcp", "192.0.2.2:6443")
	for to, want := range map[string]string{"10.96.0.1:443": "192.0.2.1:6443 192.0.2.1", "10.96.0.1:444": "192.0.2.2:6443 192.0.2.1"} {
		if got := say("", "", "tcp", to); got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
}

// TestServiceAffinity: a client stays with its endpoint until that is gone, clients differ, and the endpoints' load is shared.
func TestServiceAffinity(t *testing.T) {
	r, h, _, _ := newServiceRig(t)
	ask := func(from string) string {
		answer := say(r.outside, from, "tcp", "192.0.2.1:30084")
		endpoint, source, _ := strings.Cut(answer, " ")
		if source != "100.64.0.2" {
			t.Fatalf("from %s: %s", from, answer)
		}
		return endpoint
	}
	seen := map[string]int{}
	for i := range 30 {
		r.lines(r.outside, fmt.Sprintf("ip addr add 198.51.100.%d/32 dev lo", 100+i))
		from := fmt.Sprintf("198.51.100.%d", 100+i)
		first := ask(from)
		seen[first]++
		if again := ask(from); again != first {
			t.Errorf("%s went to %s, then to %s", from, first, again)
		}
	}
	if len(seen) != 3 {
		t.Errorf("30 clients went to %v", seen)
	}
	stay := ask("198.51.100.10")
	for range 20 {
		if now := ask("198.51.100.10"); now != stay {
			t.Fatalf("went to %s, then to %s", stay, now)
		}
	}
	input := serviceInput()
	s := *input.Services[5]
	s.Ports = slices.Clone(s.Ports)
	s.Ports[0].Pick = slices.DeleteFunc(slices.Clone(s.Ports[0].Pick), func(a netip.AddrPort) bool { return a.String() == stay })
	input.Services[5] = &s
	h.Update(input)
	ip, _, _ := strings.Cut(stay, ":")
	r.until("nobody is remembered at "+stay, func() bool {
		return !r.has(": "+ip+" . 8080", "nft", "list", "map", "inet", "heddle", "affinity-v4")
	})
	if now := ask("198.51.100.10"); now == stay {
		t.Errorf("still goes to %s, which is gone", stay)
	}
}

// TestServiceFlows keeps one UDP socket while its endpoint goes: its next datagrams reach another one within a second.
func TestServiceFlows(t *testing.T) {
	r, h, _, _ := newServiceRig(t)
	c, err := connect(r.outside, "198.51.100.10", "udp", "192.0.2.1:30082")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := talk(c); got != "10.16.0.5:8080 198.51.100.10" {
		t.Fatal(got)
	}
	change := func(here []netip.AddrPort) Input {
		input := serviceInput()
		s := *input.Services[2]
		s.Ports = slices.Clone(s.Ports)
		s.Ports[2].Here = here // UDP, IPv4
		input.Services[2] = &s
		return input
	}
	began := time.Now()
	h.Update(change(ports("10.16.0.6:8080")))
	r.untilReport("cut", func(Report) bool {
		return slices.ContainsFunc(r.operations(), func(op string) bool { return strings.HasPrefix(op, "conntrack delete udp") })
	})
	took := time.Since(began)
	if got := talk(c); got != "10.16.0.6:8080 198.51.100.10" {
		t.Errorf("after its endpoint went, the socket hears %s", got)
	}
	t.Logf("a flow is cut %s after the change", took.Round(time.Millisecond))
	r.mark()
	input := serviceInput()
	input.Services = slices.Delete(input.Services, 2, 3)
	h.Update(input)
	r.until("the flow to a Service that is gone is cut", func() bool {
		return !r.has("dport=30082", "conntrack", "-L", "-p", "udp", "--orig-dst", "192.0.2.1")
	})
}

// TestServiceFlowsOfAnotherLife: an endpoint that went while no daemon ran.
func TestServiceFlowsOfAnotherLife(t *testing.T) {
	r, _, stop, _ := newServiceRig(t)
	if got := say(r.outside, "198.51.100.10", "udp", "192.0.2.1:30082"); got != "10.16.0.5:8080 198.51.100.10" {
		t.Fatal(got)
	}
	stop()
	h, stop := r.start(ptr(serviceInput()))
	r.untilReady(h)
	stop()
	if !r.has("dport=30082", "conntrack", "-L", "-p", "udp", "--orig-dst", "192.0.2.1") {
		t.Error("a restart cut a flow to an endpoint that is there")
	}
	// By hand, what a daemon did that was killed before it could cut flows.
	r.lines("", `
		nft delete element inet heddle endpoints-local-udp-v4 { 192.0.2.1 . udp . 30082 . 0 }
		nft add element inet heddle endpoints-local-udp-v4 { 192.0.2.1 . udp . 30082 . 0 : 10.16.0.6 . 8080 }`)
	input := serviceInput()
	s := *input.Services[2]
	s.Ports = slices.Clone(s.Ports)
	s.Ports[2].Here = ports("10.16.0.6:8080")
	input.Services[2] = &s
	r.start(&input)
	r.until("the flow is cut", func() bool {
		return !r.has("dport=30082", "conntrack", "-L", "-p", "udp", "--orig-dst", "192.0.2.1")
	})
	if ops := r.operations(); len(ops) != 1 {
		t.Errorf("operations %q, want the cut alone", ops)
	}
}

// TestServiceRepair takes elements, a map and a chain away.
func TestServiceRepair(t *testing.T) {
	r, _, _, _ := newServiceRig(t)
	for _, c := range []struct{ damage, want string }{
		{"nft delete element inet heddle cluster-ip-v4 { 192.0.2.1 . tcp . 30080 }", "192.0.2.1 . tcp . 30080 : 10.96.0.10 . 80"},
		{"nft delete element inet heddle refused-v6 { 2001:db8:1::1 . udp . 30081 }", "2001:db8:1::1 . udp . 30081"},
		{"nft delete element inet heddle allowed-sources-v4 { 203.0.113.81 . tcp . 80 . 198.51.100.0/24 }", "203.0.113.81 . tcp . 80 . 198.51.100.0/24"},
		{"nft flush map inet heddle pick-local-v4", "192.0.2.1 . tcp . 30082 : goto pick-local-1-v4"},
		{"nft flush chain inet heddle pick-any-3-v4", "numgen random mod 3"},
		{"nft add chain inet heddle stranger", ""},
	} {
		r.quiet()
		r.lines("", c.damage)
		r.until(c.damage, func() bool {
			return len(r.operations()) > 0 && r.has(c.want, "nft", "list", "table", "inet", "heddle") && !r.has("stranger", "nft", "list", "table", "inet", "heddle")
		})
		if ops := r.operations(); len(ops) != 1 {
			t.Errorf("%s: %q, want one operation", c.damage, ops)
		}
	}
}

// TestServiceOperations counts elements that are written when one endpoint of a thousand Services is another.
func TestServiceOperations(t *testing.T) {
	input := func(local bool, affinity int32, last int) Input {
		in := serviceInput()
		in.Services = nil
		for i := range 1000 {
			p := ServicePort{
				VIP: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 96, byte(i / 250), byte(i % 250)}), 80), Protocol: "tcp",
				NodePort: uint16(30000 + i), Live: true,
			}
			for e := range 10 {
				if e == 9 && i == 500 {
					e = last
				}
				at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 16, byte(i / 4), byte(e)}), 8080)
				if local {
					p.Here = append(p.Here, at)
				} else if affinity > 0 {
					p.Pick = append(p.Pick, at)
				}
			}
			in.Services = append(in.Services, &Service{Name: fmt.Sprintf("default/s%03d", i), Local: local, Affinity: affinity, Ports: []ServicePort{p}})
		}
		return in
	}
	cfg := Config{NodeName: "n", Datapath: DatapathKernel, EncapIP: netip.MustParseAddr("192.0.2.1"), MTU: 1400}
	for _, c := range []struct {
		what     string
		local    bool
		affinity int32
		want     int
	}{{"policy Cluster", false, 0, 0}, {"policy Local", true, 0, 2}, {"affinity", false, 60, 2}, {"policy Local, affinity", true, 60, 2}} {
		before, after := input(c.local, c.affinity, 9), input(c.local, c.affinity, 99)
		if same := before.Equal(after); same != (c.want == 0) {
			t.Errorf("%s: the input is the same: %v", c.what, same)
		}
		from, to := Compile(cfg, &before, Facts{MTU: 1500}), Compile(cfg, &after, Facts{MTU: 1500})
		got, rules := 0, 0
		for _, lane := range MakePlan(established(from), to).Lanes {
			for _, op := range lane {
				o := op.(editTable)
				got += len(o.Add) + len(o.Del)
				rules += len(o.Rules) + len(o.NewChains) + len(o.DelChains)
			}
		}
		if got != c.want || rules != 0 {
			t.Errorf("%s: %d elements and %d chains written, want %d and 0", c.what, got, rules, c.want)
		}
	}
}
