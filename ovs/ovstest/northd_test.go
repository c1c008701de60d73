package ovstest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/heddle-net/heddle/ovs/ovstest"
)

// gateways is a network of two nodes: the router sends what leaves net to the port of the node that the packet starts on.
func gateways(tb testing.TB) *ovstest.Northd {
	n := ovstest.StartNorthd(tb)
	n.NB.Nbctl("lr-add", "r", "--", "ls-add", "net", "--", "ls-add", "join",
		"--", "lrp-add", "r", "r-net", "0a:58:0a:01:00:01", "10.1.0.1/24",
		"--", "lsp-add", "net", "net-r", "--", "lsp-set-type", "net-r", "router", "--", "lsp-set-addresses", "net-r", "router", "--", "lsp-set-options", "net-r", "router-port=r-net",
		"--", "lrp-add", "r", "r-join", "0a:58:64:40:00:01", "100.64.0.1/24",
		"--", "lsp-add", "join", "join-r", "--", "lsp-set-type", "join-r", "router", "--", "lsp-set-addresses", "join-r", "router", "--", "lsp-set-options", "join-r", "router-port=r-join",
		"--", "lsp-add", "net", "p", "--", "lsp-set-addresses", "p", "0a:58:0a:01:00:02 10.1.0.2",
		"--", "lsp-add", "join", "n1", "--", "lsp-set-addresses", "n1", "0a:58:64:40:00:02 100.64.0.2",
		"--", "lsp-add", "join", "n2", "--", "lsp-set-addresses", "n2", "0a:58:64:40:00:03 100.64.0.3",
		"--", "lr-route-add", "r", "0.0.0.0/0", "100.64.0.1",
		"--", "lr-policy-add", "r", "1", `ip4 && is_chassis_resident("n1")`, "reroute", "100.64.0.2",
		"--", "lr-policy-add", "r", "1", `ip4 && is_chassis_resident("n2")`, "reroute", "100.64.0.3")
	for i, node := range []string{"n1", "n2"} {
		n.AddChassis("c"+node, []string{"192.0.2.1", "192.0.2.2"}[i])
	}
	n.Sync()
	n.Bind("cn1", "n1")
	n.Bind("cn2", "n2")
	return n
}

const packet = `inport == "p" && eth.src == 0a:58:0a:01:00:02 && eth.dst == 0a:58:0a:01:00:01 && ip.ttl == 64 && ip4.src == 10.1.0.2 && ip4.dst == `

func TestTrace(t *testing.T) {
	n := gateways(t)
	cases := []struct {
		name, chassis, dst string
		out, asked         []string
	}{
		{"outside, from the first node", "cn1", "198.51.100.1", []string{"n1"}, nil},
		{"outside, from the second node", "cn2", "198.51.100.1", []string{"n2"}, nil},
		{"the router itself refuses a packet without a protocol, by a packet of its own", "cn1", "10.1.0.1", nil, []string{"icmp4"}},
	}
	tracer := n.Tracer()
	for _, c := range cases {
		got := tracer.Ask(c.chassis, packet+c.dst)
		if !slices.Equal(got.Out, c.out) || !slices.Equal(got.Asked, c.asked) {
			t.Errorf("%s: %v, asked %v, want %v and %v\n%s", c.name, got.Out, got.Asked, c.out, c.asked, got.Text)
		}
	}
}

// TestTracerLeavesNothing shows that a chassis' view is taken back from SB, and that ovn-northd goes on.
func TestTracerLeavesNothing(t *testing.T) {
	n := gateways(t)
	n.Tracer()
	if flows := n.Sbctl("lflow-list", "r"); strings.Count(flows, "is_chassis_resident") != 2 {
		t.Errorf("the flows are not as they were:\n%s", flows)
	}
	n.NB.Nbctl("lr-policy-del", "r")
	n.Sync()
	got := n.Tracer().Ask("", packet+"10.1.0.9")
	if len(got.Out) != 0 || !slices.Equal(got.Asked, []string{"arp"}) {
		t.Errorf("an address that nobody has: %v, asked %v\n%s", got.Out, got.Asked, got.Text)
	}
}

// TestTraceVariables shows that what comes to a port is judged by the variables of the port's own chassis, wherever it comes from.
func TestTraceVariables(t *testing.T) {
	n := gateways(t)
	n.NB.Nbctl("acl-add", "net", "to-lport", "1", "ip", "drop", "--", "acl-add", "net", "to-lport", "2", `outport == "p" && ip4.src == ^own`, "allow")
	n.Bind("cn1", "p")
	ask := func(chassis, src string) bool {
		n.Sync()
		const to = `inport == "net-r" && eth.src == 0a:58:0a:01:00:01 && eth.dst == 0a:58:0a:01:00:02 && ip.ttl == 64 && ip4.dst == 10.1.0.2 && ip4.src == `
		return slices.Equal(n.Tracer().Ask(chassis, to+src).Out, []string{"p"})
	}
	if ask("cn1", "100.64.0.2") {
		t.Error("a variable without a value lets a packet in")
	}
	n.NB.Nbctl("--", "create", "Chassis_Template_Var", "chassis=cn1", "variables:own=100.64.0.2",
		"--", "create", "Chassis_Template_Var", "chassis=cn2", "variables:own=100.64.0.3")
	for _, chassis := range []string{"cn1", "cn2"} {
		if !ask(chassis, "100.64.0.2") || ask(chassis, "100.64.0.3") {
			t.Errorf("from %s the port's node is taken for another one", chassis)
		}
	}
	if flows := n.Sbctl("lflow-list", "net"); strings.Count(flows, "^own") == 0 {
		t.Errorf("the flows are not as they were:\n%s", flows)
	}
}

func BenchmarkTrace(b *testing.B) {
	n := gateways(b)
	tracer := n.Tracer()
	for b.Loop() {
		tracer.Ask("cn1", packet+"198.51.100.1")
	}
}
