package compile_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// labelled gives the Pods of a world their labels: the name of each. All have the named port dns, which is
// 53, but db, where it is 5353.
func labelled(w *world) {
	for _, p := range w.pods {
		labels := map[string]string{"app": p.name}
		number := int32(53)
		if p.name == "db" {
			number = 5353
		}
		obj := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: p.name, Labels: labels},
			Spec: corev1.PodSpec{
				NodeName:   w.nodes[p.node].name,
				Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "dns", ContainerPort: number, Protocol: corev1.ProtocolUDP}}}},
			},
		}
		w.more = append(w.more, func(s *state.Store) { put(s.Pods, "default/"+p.name, feed.Pod(obj)) })
	}
}

// policies are NetworkPolicies of the Namespace default, given by their specs.
func policies(t testing.TB, specs ...string) (objects []object) {
	t.Helper()
	for i, spec := range specs {
		objects = append(objects, parseObjects(t, fmt.Sprintf("kind: NetworkPolicy\nmetadata: {namespace: default, name: p%d}\nspec: %s\n", i, spec))...)
	}
	return objects
}

// TestPolicies asks OVN what each form of a rule lets through: between web and db on two nodes of a Subnet, far in another one, and
// the nodes. ovn-trace sees no tunnels and forgets, between pipelines, that a packet goes back to where it came from: other nodes, and
// Pods that ask their own Service, are for real packets (package packets).
func TestPolicies(t *testing.T) {
	n := newNetwork(t)
	vips := []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd00:10:96::10")}
	w := twoNodes("46")
	web, db, far := hostOfPod(w, w.pods[0]), hostOfPod(w, w.pods[1]), hostOfPod(w, w.pods[2])
	questions := []struct {
		name string
		ask  func(i int) ovstest.Trace
	}{
		{"web>db:53", func(i int) ovstest.Trace { return n.sendTo(web, db.addrs[i], db.mac, "udp", 53) }},
		{"far>db:53", func(i int) ovstest.Trace { return n.sendTo(far, db.addrs[i], "", "udp", 53) }},
		{"far>db:5353", func(i int) ovstest.Trace { return n.sendTo(far, db.addrs[i], "", "udp", 5353) }},
		{"far>db:tcp53", func(i int) ovstest.Trace { return n.sendTo(far, db.addrs[i], "", "tcp", 53) }},
		{"web>db:sctp9", func(i int) ovstest.Trace { return n.sendTo(web, db.addrs[i], db.mac, "sctp", 9) }},
		{"web>vip", func(i int) ovstest.Trace { return n.sendTo(web, vips[i], "", "udp", 53) }},
		{"db>web", func(i int) ovstest.Trace { return n.sendTo(db, web.addrs[i], web.mac, "udp", 53) }},
		{"db>far", func(i int) ovstest.Trace { return n.sendTo(db, far.addrs[i], "", "udp", 53) }},
		{"db>n1", func(i int) ovstest.Trace { return n.sendTo(db, w.nodes[0].internal[i], "", "udp", 53) }},
		{"db>vip", func(i int) ovstest.Trace { return n.sendTo(db, vips[i], "", "udp", 53) }},
	}
	const to, from = "podSelector: {matchLabels: {app: db}}, ingress: ", "podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], egress: "
	const out, in = "db>web db>far db>n1", "web>db:53 far>db:53 far>db:5353 far>db:tcp53 web>db:sctp9 web>vip"
	for _, c := range []struct{ name, spec, pass string }{
		{"isolated for ingress", to + "[]", out},
		{"isolated for egress", from + "[]", in + " db>vip"},
		{"a Pod by its label", to + "[{from: [{podSelector: {matchLabels: {app: web}}}]}]", "web>db:53 web>db:sctp9 web>vip " + out},
		{"the Service is judged by its endpoint's port", to + "[{ports: [{protocol: UDP, port: 5353}]}]", "far>db:5353 web>vip " + out},
		{"a named port of db, which is 5353", to + "[{ports: [{protocol: UDP, port: dns}]}]", "far>db:5353 web>vip " + out},
		{"a named port of peers, which is 53", from + "[{ports: [{protocol: UDP, port: dns}]}]", in + " db>vip db>web db>far"},
		{"a named port of one peer", from + "[{to: [{podSelector: {matchLabels: {app: far}}}], ports: [{protocol: UDP, port: dns}]}]", in + " db>vip db>far"},
		{"SCTP", to + "[{ports: [{protocol: SCTP, port: 1, endPort: 10}]}]", "web>db:sctp9 " + out},
		{"TCP, any port", to + "[{ports: [{protocol: TCP}]}]", "far>db:tcp53 " + out},
		{"two ranges and a number", to + "[{ports: [{protocol: UDP, port: 1, endPort: 52}, {protocol: UDP, port: 54, endPort: 5352}, {protocol: UDP, port: 5353}]}]", "far>db:5353 web>vip " + out},
		{"a block with an exception", to + `[{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.66.0.0/24]}}, {ipBlock: {cidr: "fd00:10::/32", except: ["fd00:10:66::/120"]}}]}]`, "far>db:53 far>db:5353 far>db:tcp53 " + out},
		{"all but one address, in an address set", to + fmt.Sprintf(`[{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [%s/32]}}, {ipBlock: {cidr: "::/0", except: ["%s/128"]}}]}]`, web.addrs[0], web.addrs[1]), "far>db:53 far>db:5353 far>db:tcp53 " + out},
		{"IPv4 only", to + "[{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]", "4:web>db:53 4:far>db:53 4:far>db:5353 4:far>db:tcp53 4:web>db:sctp9 4:web>vip " + out},
		{"out to a node", from + `[{to: [{ipBlock: {cidr: 192.0.2.1/32}}, {ipBlock: {cidr: "2001:db8::1/128"}}]}]`, in + " db>vip db>n1"},
		{"an unreadable peer beside a good one", to + "[{from: [{}, {podSelector: {matchLabels: {app: far}}}]}]", "far>db:53 far>db:5353 far>db:tcp53 " + out},
	} {
		w.more = nil
		labelled(&w)
		w.more = append(w.more, slices.Concat(udpService(t, "db", vips, w.pods[1].addrs...), policies(t, "{"+c.spec+"}"))...)
		n.become(w)
		pass := strings.Fields(c.pass)
		for _, q := range questions {
			if q.name == "db>vip" && strings.HasPrefix(c.spec, to) {
				continue
			}
			for i, f := range []string{"4:", "6:"} {
				want := slices.Contains(pass, q.name) || slices.Contains(pass, f+q.name)
				if trace := q.ask(i); (len(trace.Out) > 0) != want {
					t.Errorf("%s: IPv%s%s passes: %t\n%s", c.name, f, q.name, !want, trace.Text)
				}
			}
		}
	}
}
