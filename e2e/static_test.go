package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// noAddress is the reason of Warnings about Pods that cannot have an address, for now.
const noAddress = "AcquireAddressFailed"

// TestStaticAddress asks for addresses and a MAC address, and finds them in the Pod, in its IP object and in OVN.
func TestStaticAddress(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "static", nil)
	e.subnet(t, "static", "10.103.0.0/24,fd00:10:103::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	both := withAddress(pod(ns, "both", e.Nodes()[0]), "10.103.0.50,fd00:10:103::50")
	both.Annotations[v1.AnnotationMACAddress] = "02:00:00:00:00:50"
	one := withAddress(pod(ns, "one", e.Nodes()[1]), "10.103.0.60")
	e.start(t, both, one)
	wantFrom(t, both, "10.103.0.50/32", "fd00:10:103::50/128")
	wantFrom(t, one, "10.103.0.60/32", "fd00:10:103::/112")

	link := e.exec(t, both, "ip", "address", "show", "dev", "eth0")
	for _, want := range []string{"link/ether 02:00:00:00:00:50", "inet 10.103.0.50/24", "inet6 fd00:10:103::50/112"} {
		if !strings.Contains(link, want) {
			t.Errorf("want %q in the Pod, which has\n%s", want, link)
		}
	}
	ip := &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: ipName(both)}}
	await(t, e, ip, func(*v1.IP) string { return "" })
	if ip.Spec.IPAddress != "10.103.0.50,fd00:10:103::50" || ip.Spec.MacAddress != "02:00:00:00:00:50" || ip.Spec.Subnet != "static" {
		t.Errorf("the IP object has %+v", ip.Spec)
	}
	if port := e.nbctl(t, "lsp-get-addresses", ipName(both)); strings.TrimSpace(port) != "02:00:00:00:00:50 10.103.0.50 fd00:10:103::50" {
		t.Errorf("the port in NB has %q", port)
	}
	e.reach(t, []end{podEnd(both), podEnd(one)}, false)
	e.reach(t, []end{podEnd(both), podEnd(one)}, true)
}

// TestAddressConflict: a second Pod with the same address waits, says why, and starts when the first is gone.
func TestAddressConflict(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "conflict", nil)
	e.subnet(t, "conflict", "10.104.0.0/24,fd00:10:104::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	first := withAddress(pod(ns, "first", e.Nodes()[0]), "10.104.0.20,fd00:10:104::20")
	e.start(t, first)
	second := withAddress(pod(ns, "second", e.Nodes()[1]), "10.104.0.20,fd00:10:104::20")
	e.post(t, second)
	t.Log(e.awaitEvent(t, ns, "second", noAddress, "AddressConflict", "10.104.0.20 is held by first.conflict"))
	wantWaiting(t, e, second)
	t.Logf("first gone after %v", e.stop(t, first))
	t.Logf("second Ready %v later", await(t, e, second, podReady))
	wantFrom(t, second, "10.104.0.20/32", "fd00:10:104::20/128")
}

// wantWaiting: a Pod has neither address nor container.
func wantWaiting(t *testing.T, e *env, p *corev1.Pod) {
	t.Helper()
	await(t, e, p, func(*corev1.Pod) string { return "" })
	if p.Status.Phase != corev1.PodPending || len(p.Status.PodIPs) > 0 || p.Annotations[v1.AnnotationAllocated] != "" {
		t.Errorf("Pod %s: phase %s, addresses %v, annotations %v; want it to wait", p.Name, p.Status.Phase, p.Status.PodIPs, p.Annotations)
	}
}

// TestReservation: an IP object made by hand keeps everybody from its address, but the Pod that it is named after.
func TestReservation(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "reserved", nil)
	e.subnet(t, "reserved", "10.105.0.0/24", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	byHand := &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "e2e-by-hand"}, Spec: v1.IPSpec{Subnet: "reserved", V4IPAddress: "10.105.0.2"}}
	e.create(t, byHand)
	await(t, e, byHand, func(ip *v1.IP) string {
		if ip.Labels[v1.LabelIPReserved] != v1.AnnotationTrue {
			return "not marked as reserved"
		}
		return ""
	})
	other, wanting := pod(ns, "other", ""), withAddress(pod(ns, "wanting", ""), "10.105.0.2")
	e.start(t, other)
	wantFrom(t, other, "10.105.0.3/32") // the first address that is free
	e.post(t, wanting)
	e.awaitEvent(t, ns, "wanting", noAddress, "AddressConflict", "10.105.0.2 is held by e2e-by-hand")
	wantWaiting(t, e, wanting)
	e.kubectl(t, "delete", "ip", byHand.Name, "--wait=false")
	t.Logf("Ready %v after the reservation was deleted", await(t, e, wanting, podReady))
	wantFrom(t, wanting, "10.105.0.2/32")
}
