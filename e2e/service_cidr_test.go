package e2e

import (
	"context"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// TestServiceCIDR adds a range for Services to the running cluster, uses it from Pods and nodes, and takes it away again.
func TestServiceCIDR(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "service-cidr", nil)
	e.subnet(t, "service-cidr", "10.125.0.0/24,fd00:10:125::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	nodes := e.Nodes()[:2]
	pods := []*corev1.Pod{serving(pod(ns, "web", nodes[0]), "web"), pod(ns, "client", nodes[1])}
	e.start(t, pods...)
	askers := []asker{e.podAsker(t, pods[0]), e.podAsker(t, pods[1]), e.nodeAsker(t, nodes[0]), e.nodeAsker(t, nodes[1])}

	more := []netip.Prefix{netip.MustParsePrefix("10.98.7.0/24"), netip.MustParsePrefix("fd00:10:98:7::/112")}
	t.Run("come", func(t *testing.T) {
		e.serviceCIDR(t, "e2e-more", more...)
		e.awaitRoutes(t, true, more...)
		web := e.service(t, ns, "web", func(s *corev1.ServiceSpec) {
			s.ClusterIP, s.ClusterIPs = "10.98.7.10", []string{"10.98.7.10", "fd00:10:98:7::10"}
		})
		e.balanced(t, web, "tcp", 80, endpointsOf(podPort, pods[0])...)
		e.allAsk(t, askers, web, "web")
		late := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "service-cidr-late"}, Spec: v1.SubnetSpec{CIDRBlock: "10.98.7.128/25"}}
		e.create(t, late)
		await(t, e, late, func(s *v1.Subnet) string {
			if missing := subnetReady(s); missing != "not Ready: Conflict: CIDR 10.98.7.128/25 overlaps the Service CIDR 10.98.7.0/24" {
				return "it should be refused, and is: " + missing
			}
			return ""
		})
	})
	e.awaitRoutes(t, false, more...)

	over := netip.MustParsePrefix("10.125.0.0/25")
	t.Run("over a Subnet", func(t *testing.T) {
		e.serviceCIDR(t, "e2e-over", over)
		e.awaitRoutes(t, true, over)
		e.awaitEvent(t, "default", "e2e-over", "Conflict", "CIDR 10.125.0.0/25 overlaps 10.125.0.0/24 of Subnet service-cidr")
		e.reachesPod(t, askers, pods[0])
	})
	e.awaitRoutes(t, false, over)
	e.reachesPod(t, askers, pods[0])
}

// reachesPod lets all but the Pod itself ask it, by its own addresses.
func (e *env) reachesPod(t *testing.T, askers []asker, p *corev1.Pod) {
	t.Helper()
	for _, a := range askers {
		for _, at := range endpointsOf(podPort, p) {
			if h, err := a.ask(t.Context(), "tcp", at.String()); err != nil || h.who != p.Name {
				t.Errorf("%s asks %s: %s, %v", a.name, at, h, err)
			}
		}
	}
}

// serviceCIDR makes one, and waits until the API server gives addresses of it.
func (e *env) serviceCIDR(t *testing.T, name string, cidrs ...netip.Prefix) {
	t.Helper()
	obj := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, cidr := range cidrs {
		obj.Spec.CIDRs = append(obj.Spec.CIDRs, cidr.String())
	}
	e.create(t, obj)
	await(t, e, obj, func(s *networkingv1.ServiceCIDR) string {
		if meta.IsStatusConditionTrue(s.Status.Conditions, networkingv1.ServiceCIDRConditionReady) {
			return ""
		}
		return "it is not Ready"
	})
}

// awaitRoutes looks at each node's routes through ovn0 whenever one changes.
func (e *env) awaitRoutes(t *testing.T, there bool, cidrs ...netip.Prefix) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	for _, node := range e.Nodes() {
		e.awaitRoutesOn(ctx, t, node, there, cidrs)
	}
}

func (e *env) awaitRoutesOn(ctx context.Context, t *testing.T, node string, there bool, cidrs []netip.Prefix) {
	t.Helper()
	m, err := e.Machine(node)
	must(t, err)
	handle, err := netns.GetFromPath(m.NetNS())
	must(t, err)
	defer handle.Close()
	updates, done := make(chan netlink.RouteUpdate), make(chan struct{})
	defer close(done)
	must(t, netlink.RouteSubscribeAt(handle, updates, done))
	for _, cidr := range cidrs {
		for (e.run(t, node, "ip", familyFlag(cidr), "route", "show", cidr.String(), "dev", "ovn0") != "") != there {
			select {
			case <-updates:
			case <-ctx.Done():
				t.Fatalf("%s has a route to %s: want %t", node, cidr, there)
			}
		}
	}
}

func familyFlag(cidr netip.Prefix) string {
	if cidr.Addr().Is6() {
		return "-6"
	}
	return "-4"
}
