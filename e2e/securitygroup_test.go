package e2e

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// twoPorts is a Pod that serves a second port.
func twoPorts(p *corev1.Pod) *corev1.Pod {
	second := agnhost(otherPort)
	second.Name = "second"
	p.Spec.Containers = append(p.Spec.Containers, second)
	return p
}

func everybody(ipv6 bool, protocol v1.SecurityGroupProtocol) v1.SecurityGroupRule {
	r := v1.SecurityGroupRule{
		IPVersion: v1.SecurityGroupIPv4, Protocol: protocol, Priority: 10, RemoteType: v1.SecurityGroupRemoteAddress, RemoteAddress: "0.0.0.0/0", Policy: v1.SecurityGroupAllow,
	}
	if ipv6 {
		r.IPVersion, r.RemoteAddress = v1.SecurityGroupIPv6, "::/0"
	}
	return r
}

// TestSecurityGroups binds running Pods to groups, and one to a group that does not exist yet: it is denied from its first packet, and
// says why; probes of the kubelet make it Ready all the same.
func TestSecurityGroups(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "sg", nil)
	e.subnet(t, "sg", "10.147.0.0/24,fd00:10:147::/112", nil)
	db := twoPorts(inSubnet(pod(ns, "db", e.Nodes()[0]), "sg"))
	db.Annotations[v1.AnnotationSecurityGroups] = "e2e-db"
	web, other := twoPorts(inSubnet(pod(ns, "web", e.Nodes()[1]), "sg")), twoPorts(inSubnet(pod(ns, "other", e.Nodes()[0]), "sg"))
	e.start(t, db, web, other)
	var places []policyPlace
	for _, p := range []*corev1.Pod{db, web, other} {
		places = append(places, policyPlace{e.podAsker(t, p), p.Name})
	}
	expect := func(what string, allowed func(policyFlow) bool) {
		t.Helper()
		for _, v6 := range []bool{false, true} {
			expectFlows(t, fmt.Sprintf("%s, IPv6 %t", what, v6), places, v6, allowed)
		}
	}
	notDB := func(f policyFlow) bool { return f.from != "db" && f.to != "db" }
	expect("a group that is not there", notDB)
	e.awaitEvent(t, ns, "db", "NotFound", `there is no SecurityGroup "e2e-db"`)

	dbGroup := &v1.SecurityGroup{ObjectMeta: metav1.ObjectMeta{Name: "e2e-db"}, Spec: v1.SecurityGroupSpec{
		EgressRules: []v1.SecurityGroupRule{everybody(false, v1.SecurityGroupAll), everybody(true, v1.SecurityGroupAll)},
	}}
	for _, version := range []v1.SecurityGroupIPVersion{v1.SecurityGroupIPv4, v1.SecurityGroupIPv6} {
		dbGroup.Spec.IngressRules = append(dbGroup.Spec.IngressRules, v1.SecurityGroupRule{
			IPVersion: version, Protocol: v1.SecurityGroupTCP, Priority: 5, RemoteType: v1.SecurityGroupRemoteGroup, RemoteSecurityGroup: "e2e-web",
			PortRangeMin: podPort, PortRangeMax: podPort, Policy: v1.SecurityGroupAllow,
		})
	}
	both := []v1.SecurityGroupRule{everybody(false, v1.SecurityGroupAll), everybody(true, v1.SecurityGroupAll)}
	webGroup := &v1.SecurityGroup{ObjectMeta: metav1.ObjectMeta{Name: "e2e-web"}, Spec: v1.SecurityGroupSpec{IngressRules: both, EgressRules: both}}
	e.create(t, dbGroup)
	e.create(t, webGroup)
	expect("nobody is in the other group", func(f policyFlow) bool { return f.to != "db" })
	update(t, e, web, func(p *corev1.Pod) { p.Annotations[v1.AnnotationSecurityGroups] = "e2e-web" })
	expect("web is", func(f policyFlow) bool {
		return f.to != "db" || f.from == "web" && f.port == podPort && f.protocol == "tcp"
	})
	shown := e.kubectl(t, "get", "sg", "e2e-db", "-o", `jsonpath={.status.ingressLastSyncSuccess} {.status.conditions[?(@.type=="Ready")].status} {.status.portGroup}`)
	if !strings.HasPrefix(shown, "true True pg_") {
		t.Errorf("status %q", shown)
	}
	e.remove(t, dbGroup)
	expect("the group is gone", notDB)
	update(t, e, db, func(p *corev1.Pod) { delete(p.Annotations, v1.AnnotationSecurityGroups) })
	expect("bound to none", func(policyFlow) bool { return true })
}
