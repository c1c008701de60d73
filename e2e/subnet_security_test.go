package e2e

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// TestPrivateSubnet asks, in both families, who reaches the Pods of a private Subnet on two nodes; these reach everybody.
func TestPrivateSubnet(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "private", nil)
	private := e.subnet(t, "private", "10.148.0.0/24,fd00:10:148::/112", func(s *v1.SubnetSpec) { s.Private = true })
	e.subnet(t, "private-far", "10.148.1.0/24,fd00:10:148:1::/112", nil)
	var places []policyPlace
	pods := []*corev1.Pod{
		twoPorts(inSubnet(pod(ns, "in-1", e.Nodes()[0]), "private")), twoPorts(inSubnet(pod(ns, "in-2", e.Nodes()[1]), "private")),
		twoPorts(inSubnet(pod(ns, "far", e.Nodes()[0]), "private-far")),
	}
	e.start(t, pods...)
	for _, p := range pods {
		places = append(places, policyPlace{e.podAsker(t, p), p.Name})
	}
	in := func(name string) bool { return strings.HasPrefix(name, "in-") }
	expect := func(what string, allowed func(f policyFlow, v6 bool) bool) {
		t.Helper()
		for _, v6 := range []bool{false, true} {
			expectFlows(t, fmt.Sprintf("%s, IPv6 %t", what, v6), places, v6, func(f policyFlow) bool { return allowed(f, v6) })
		}
	}
	expect("private", func(f policyFlow, _ bool) bool { return in(f.from) || !in(f.to) })
	for _, node := range e.Nodes() {
		for _, p := range pods[:2] {
			for _, v6 := range []bool{false, true} {
				if wrong := e.nodeAsker(t, node).askOften(t.Context(), "tcp", target(ofFamily(addresses(p), v6), podPort)).wrong(p.Name); wrong != "" {
					t.Errorf("node %s to Pod %s: %s", node, p.Name, wrong)
				}
			}
		}
	}
	update(t, e, private, func(s *v1.Subnet) { s.Spec.AllowSubnets = []string{"10.148.1.0/24"} })
	expect("allowSubnets of one family", func(f policyFlow, v6 bool) bool { return in(f.from) || !in(f.to) || !v6 })
	update(t, e, private, func(s *v1.Subnet) {
		s.Spec.Private, s.Spec.AllowSubnets, s.Spec.AllowEWTraffic = false, nil, true
		s.Spec.Acls = []v1.ACL{{Direction: "to-lport", Priority: 1002, Match: "udp", Action: "drop"}}
	})
	expect("an ACL that drops UDP, and allowEWTraffic", func(f policyFlow, _ bool) bool {
		return f.protocol == "tcp" || in(f.from) && in(f.to)
	})
}
