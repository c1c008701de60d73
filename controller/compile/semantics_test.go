package compile_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-net/heddle/ovs/ovstest"
)

// twoNodes is a cluster with Pods web and db on the first node and the second, in one Subnet, and far in another one.
func twoNodes(families string) world {
	w := world{
		join: subnet{name: "join", cidrs: pick(families, "100.64.0.0/16", "fd00:100:64::/112")},
		subnets: []subnet{
			{name: "blue", age: 1, cidrs: pick(families, "10.66.0.0/24", "fd00:10:66::/120")},
			{name: "green", age: 2, cidrs: pick(families, "10.67.0.0/24", "fd00:10:67::/120")},
		},
	}
	for i := range 2 {
		w.nodes = append(w.nodes, node{
			name: fmt.Sprintf("n%d", i+1), internal: nth(pick(families, "192.0.2.0/24", "2001:db8::/64"), i+1), join: nth(w.join.cidrs, i+2), addressed: true,
		})
	}
	for i, name := range []string{"web", "db", "far"} {
		s := i / 2
		w.pods = append(w.pods, pod{name: name, node: min(i, 1), subnet: s, addrs: nth(w.subnets[s].cidrs, 7+i)})
	}
	return w
}

// expectOut fails unless the packet came out of these ports, and the way shows each of the marks.
func expectOut(t *testing.T, what string, trace ovstest.Trace, ports []string, marks ...string) {
	t.Helper()
	if !slices.Equal(trace.Out, ports) {
		t.Errorf("%s: came out of %v, want %v\n%s", what, trace.Out, ports, trace.Text)
	}
	for _, mark := range marks {
		absent := strings.HasPrefix(mark, "!")
		if strings.Contains(trace.Text, strings.TrimPrefix(mark, "!")) == absent {
			t.Errorf("%s: %q in\n%s", what, mark, trace.Text)
		}
	}
}

// TestSemantics shows what each of the API's promises becomes in OVN.
func TestSemantics(t *testing.T) {
	n := newNetwork(t)
	for _, families := range []string{"4", "6", "46"} {
		w := twoNodes(families)
		n.become(w)
		for i := range w.join.cidrs {
			t.Run(fmt.Sprintf("families %s, %s", families, family(w.join.cidrs[i].Addr())), func(t *testing.T) { n.promises(t, i) })
		}
	}
}

// promises sends packets of the i-th family.
func (n *network) promises(t *testing.T, i int) {
	w := n.world
	web, db, far := hostOfPod(w, w.pods[0]), hostOfPod(w, w.pods[1]), hostOfPod(w, w.pods[2])
	n1, n2 := hostOfNode(w, 0), hostOfNode(w, 1)
	outside := nth(pick("46", "198.51.100.0/24", "2001:db8:ffff::/64"), 9)[0]
	if !w.join.cidrs[i].Addr().Is4() {
		outside = netip.MustParseAddr("2001:db8:ffff::9")
	}
	free := nth(w.subnets[0].cidrs, 99)[i]
	toMAC := func(h host) string { return "eth.dst = " + h.mac + ";" }
	routed := "ip.ttl--;"
	cases := []struct {
		what string
		from host
		dst  netip.Addr
		next string // MAC of a neighbour in the same Subnet
		out  []string
		mark []string
	}{
		{"Pod to Pod of the same Subnet, on another node", web, db.addrs[i], db.mac, []string{"db.default"}, []string{"!" + routed}},
		{"Pod to Pod of another Subnet", web, far.addrs[i], "", []string{"far.default"}, []string{routed, toMAC(far)}},
		{"and back", far, web.addrs[i], "", []string{"web.default"}, []string{routed, toMAC(web)}},
		{"Pod to its own node", web, w.nodes[0].internal[i], "", []string{"node-n1"}, []string{routed, toMAC(n1)}},
		{"Pod to the other node", web, w.nodes[1].internal[i], "", []string{"node-n2"}, []string{routed, toMAC(n2)}},
		{"Pod to the outside leaves by its own node", web, outside, "", []string{"node-n1"}, []string{routed, toMAC(n1)}},
		{"Pod of the other node to the outside", db, outside, "", []string{"node-n2"}, []string{routed, toMAC(n2)}},
		{"node to a Pod on it", n1, web.addrs[i], "", []string{"web.default"}, []string{routed, toMAC(web)}},
		{"node to a Pod on the other node", n1, far.addrs[i], "", []string{"far.default"}, []string{routed, toMAC(far)}},
		{"the reply to a node that is not the Pod's", far, n1.addrs[i], "", []string{"node-n1"}, []string{routed, toMAC(n1)}},
		{"the reply to the Pod's own node", far, n2.addrs[i], "", []string{"node-n2"}, []string{routed, toMAC(n2)}},
		{"an address of the Subnet that nobody has", web, free, "", nil, nil},
		{"the same from another Subnet", far, free, "", nil, []string{routed}},
		{"a neighbour's MAC with an address that nobody has", web, free, db.mac, []string{"db.default"}, []string{"!" + routed}},
	}
	for _, c := range cases {
		expectOut(t, c.what, n.send(c.from, c.dst, c.next), c.out, c.mark...)
	}
	if !free.Is4() {
		return
	}
	for _, h := range []host{web, far, n1} {
		if mac := n.whoHas(h, nth(h.subnet.cidrs, 1)[i]); mac == "" {
			t.Errorf("%s: the gateway does not answer", h.port)
		}
	}
	if mac := n.whoHas(web, db.addrs[i]); mac != db.mac {
		t.Errorf("%s answers for a neighbour with the MAC %s", mac, db.mac)
	}
	if mac := n.whoHas(web, free); mac != "" {
		t.Errorf("%s answers for %s, which nobody has", mac, free)
	}
}

// TestGoneIsGone shows that the address of a Pod that has gone, and of a node, lead nowhere: not to the outside either.
func TestGoneIsGone(t *testing.T) {
	n := newNetwork(t)
	w := twoNodes("46")
	n.become(w)
	web, db, far := hostOfPod(w, w.pods[0]), hostOfPod(w, w.pods[1]), hostOfPod(w, w.pods[2])
	join := w.nodes[1].join
	without := w
	without.nodes, without.pods = w.nodes[:1], w.pods[:1]
	for _, step := range []struct {
		world world
		there bool
	}{{w, true}, {without, false}, {w, true}} {
		n.become(step.world)
		for i := range w.join.cidrs {
			for what, trace := range map[string]ovstest.Trace{
				"db.default":  n.send(web, db.addrs[i], db.mac),
				"far.default": n.send(web, far.addrs[i], ""),
				"node-n2":     n.send(web, join[i], ""),
			} {
				var want []string
				if step.there {
					want = []string{what}
				}
				expectOut(t, fmt.Sprintf("%s is there: %t", what, step.there), trace, want)
			}
		}
		if !step.there { // traffic to the node's own address leaves the cluster like any other
			expectOut(t, "a node that is gone", n.send(web, w.nodes[1].internal[0], ""), []string{"node-n1"})
		}
	}
}

// TestSubnetGivesWay shows that a Subnet that contradicts an older one takes nothing of it, and that traffic to the part that
// is only its own leaves the cluster as if it were not there.
func TestSubnetGivesWay(t *testing.T) {
	n := newNetwork(t)
	w := twoNodes("4")
	w.subnets = append(w.subnets, subnet{name: "a-late", age: 9, invalid: true, cidrs: pick("4", "10.66.0.0/16", "fd00::/64")})
	w.pods = append(w.pods, pod{name: "lost", node: 0, subnet: 2, addrs: nth(w.subnets[2].cidrs, 300)})
	n.become(w)
	web := hostOfPod(w, w.pods[0])
	expectOut(t, "to a Pod of the older Subnet", n.send(web, w.pods[1].addrs[0], mac(w.pods[1].addrs)), []string{"db.default"})
	expectOut(t, "to a Pod without a network", n.send(web, w.pods[3].addrs[0], ""), []string{"node-n1"})
	if ports := n.ovn.Sbctl("--bare", "--columns=logical_port", "list", "Port_Binding"); strings.Contains(ports, "lost") {
		t.Errorf("the Pod in the refused Subnet has a port: %s", ports)
	}
}

// TestRandomWorlds goes from one small cluster to another. In each, every Pod sends to every other one, to every node, to
// addresses that nobody has, and to the outside.
func TestRandomWorlds(t *testing.T) {
	n := newNetwork(t)
	questions := 0
	for seed := range uint64(20) {
		w := randomWorld(rand.New(rand.NewPCG(seed, 5)))
		n.become(w)
		for _, from := range w.pods {
			h := hostOfPod(w, from)
			for dst, neighbour := range w.destinations() {
				if _, ok := h.addr(dst); !ok || slices.Contains(h.addrs, dst) {
					continue
				}
				var want []string
				if port := w.reaches(from, dst); port != "" {
					want = []string{port}
				}
				expectOut(t, fmt.Sprintf("world %d, %s to %s", seed, from.port(), dst), n.send(h, dst, neighbour), want)
				questions++
			}
		}
		if t.Failed() {
			t.Fatalf("world %d: %+v", seed, w)
		}
	}
	if questions < 300 {
		t.Errorf("only %d questions: the worlds are too small to show anything", questions)
	}
}

// destinations are addresses to try, with the MAC of who has them.
func (w world) destinations() map[netip.Addr]string {
	all := make(map[netip.Addr]string)
	for _, a := range nth(pick("46", "198.51.100.0/24", "2001:db8:ffff::/64"), 1) {
		all[a] = ""
	}
	for _, s := range append([]subnet{w.join}, w.subnets...) {
		for _, a := range nth(s.cidrs, 200) {
			all[a] = ""
		}
	}
	for _, n := range w.nodes {
		for _, a := range append(slices.Clone(n.internal), n.join...) {
			all[a] = ""
		}
	}
	for _, p := range w.pods {
		for _, a := range p.addrs {
			all[a] = mac(p.addrs)
		}
	}
	return all
}
