package e2e

import (
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// smallWorld has one Pod on the first of two nodes, and all agree.
func smallWorld() *world {
	const mac, address = "0a:58:0a:4e:00:05", "10.78.0.5"
	ip := func(name, node, address string) v1.IP {
		return v1.IP{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.IPSpec{NodeName: node, IPAddress: address, MacAddress: mac}}
	}
	web := ip("web.default", "n1", address)
	web.Spec.Subnet, web.Spec.V4IPAddress = "blue", address
	return &world{
		Subnets: []v1.Subnet{{ObjectMeta: metav1.ObjectMeta{Name: "blue"}, Status: v1.SubnetStatus{V4UsingIPs: v1.BigIntFrom(big.NewInt(1))}}},
		Pods: []corev1.Pod{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "u1", Annotations: map[string]string{
				v1.AnnotationAllocated: "true", v1.AnnotationRouted: "true", v1.AnnotationIPAddress: address,
				v1.AnnotationMACAddress: mac, v1.AnnotationCIDR: "10.78.0.0/16",
			}},
			Spec:   corev1.PodSpec{NodeName: "n1"},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: address}}},
		}},
		IPs:      []v1.IP{web, ip("node-n1", "n1", "100.64.0.2"), ip("node-n2", "n2", "100.64.0.3")},
		Ports:    []switchPort{{Name: "web.default", Addresses: mac + " " + address, IfaceIDVer: "u1", Up: true}, {Name: "to-router", Type: "router"}},
		Bindings: map[string]string{"web.default": "c1"},
		Chassis:  []string{"c2", "c1"},
		Nodes: map[string]*hostState{
			"n1": {
				Chassis: "c1", Veths: []string{"h1"}, Installed: map[string]bool{"h1": true},
				Interfaces: []ovsInterface{{Name: "h1", IfaceID: "web.default", IfaceIDVer: "u1", NetNS: "cni-1"}},
				NetNS: map[string][]podInterface{
					"cni-1": {{Name: "eth0", MAC: mac, Addresses: []netip.Prefix{netip.MustParsePrefix("10.78.0.5/16")}}},
				},
			},
			"n2": {Chassis: "c2"},
		},
	}
}

// TestAuditFinds breaks the small world at one place after another: the audit must see each.
func TestAuditFinds(t *testing.T) {
	if problems := smallWorld().audit(); len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, c := range []struct {
		want string
		harm func(*world)
	}{
		{"10.78.0.5 is the address of both web.default and other.default", func(w *world) {
			w.IPs = append(w.IPs, v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "other.default"}, Spec: v1.IPSpec{IPAddress: "10.78.0.5"}})
		}},
		{"Pod default/web: status has 10.78.0.6, its annotation 10.78.0.5", func(w *world) { w.Pods[0].Status.PodIPs[0].IP = "10.78.0.6" }},
		{"Pod default/web: annotation ovn.kubernetes.io/routed", func(w *world) { delete(w.Pods[0].Annotations, v1.AnnotationRouted) }},
		{"Pod default/web: no IP object", func(w *world) { w.IPs = w.IPs[1:] }},
		{"Pod default/web: annotations say", func(w *world) { w.IPs[0].Spec.NodeName = "n2" }},
		{"Pod default/web: no port in NB", func(w *world) { w.Ports = w.Ports[1:] }},
		{"up false", func(w *world) { w.Ports[0].Up = false }},
		{"iface-id-ver u0", func(w *world) { w.Ports[0].IfaceIDVer = "u0" }},
		{`SB binds its port to chassis "c2", its node is "c1"`, func(w *world) { w.Bindings["web.default"] = "c2" }},
		{"0 interfaces in OVS", func(w *world) { w.Nodes["n1"].Interfaces = nil }},
		{"2 interfaces in OVS", func(w *world) {
			w.Nodes["n1"].Interfaces = append(w.Nodes["n1"].Interfaces, ovsInterface{Name: "h2", IfaceID: "web.default", IfaceIDVer: "u0"})
		}},
		{"installed false", func(w *world) { w.Nodes["n1"].Installed = nil }},
		{"no link h1 on its node", func(w *world) { w.Nodes["n1"].Veths = nil }},
		{"its namespace cni-1 has []", func(w *world) { w.Nodes["n1"].NetNS["cni-1"] = nil }},
		{"its namespace cni-1 has [{eth0 0a:58:0a:4e:00:05 []}]", func(w *world) { w.Nodes["n1"].NetNS["cni-1"][0].Addresses = nil }},
		{"IP object gone.default () is left over", func(w *world) {
			w.IPs = append(w.IPs, v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "gone.default"}, Spec: v1.IPSpec{PodName: "gone"}})
		}},
		{"Subnet blue: status says that 1 and 0 addresses are in use, there are 0 and 0", func(w *world) { w.IPs[0].Spec.Subnet = "" }},
		{"node n2 has no IP object", func(w *world) { w.IPs = w.IPs[:2] }},
		{"port gone.default in NB is left over", func(w *world) { w.Ports = append(w.Ports, switchPort{Name: "gone.default"}) }},
		{"Port_Binding gone.default in SB is left over", func(w *world) { w.Bindings["gone.default"] = "" }},
		{"n2: interface {h9 gone.default u9 cni-9} in OVS is left over", func(w *world) {
			w.Nodes["n2"].Interfaces = []ovsInterface{{"h9", "gone.default", "u9", "cni-9"}}
		}},
		{"n2: link h9 is left over", func(w *world) { w.Nodes["n2"].Veths = []string{"h9"} }},
		{"n2: network namespace cni-9 is left over", func(w *world) { w.Nodes["n2"].NetNS = map[string][]podInterface{"cni-9": nil} }},
		{"SB has the chassis [c1 c2 c3], the nodes are [c1 c2]", func(w *world) { w.Chassis = append(w.Chassis, "c3") }},
		{"IP object web.default (10.78.0.5) is left over", func(w *world) { w.Pods[0].Status.Phase = corev1.PodSucceeded }},
	} {
		w := smallWorld()
		c.harm(w)
		if problems := w.audit(); !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, c.want) }) {
			t.Errorf("%v has no %q", problems, c.want)
		}
	}
}
