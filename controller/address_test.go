package controller_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

func TestPodLife(t *testing.T) {
	r := newRig(t)
	r.start()
	r.node("n1", "192.0.2.11")
	r.readySubnet("ovn-default")
	r.create(pod("default", "web", "n1", nil))
	web := r.allocated("default", "web")
	for key, want := range map[string]string{
		v1.AnnotationIPAddress: "10.16.0.2", v1.AnnotationMACAddress: "0a:58:0a:10:00:02", v1.AnnotationCIDR: "10.16.0.0/16",
		v1.AnnotationGateway: "10.16.0.1", v1.AnnotationLogicalSwitch: "ovn-default", v1.AnnotationLogicalRouter: "ovn-cluster",
		v1.AnnotationRouted: "true",
	} {
		if got := web.Annotations[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	ip := &v1.IP{}
	r.must(r.client.Get(t.Context(), client.ObjectKey{Name: "web.default"}, ip))
	if ip.Spec.V4IPAddress != "10.16.0.2" || ip.Spec.PodName != "web" || ip.Labels[v1.LabelSubnet] != "ovn-default" {
		t.Errorf("IP object: %+v", ip)
	}
	r.wait(&corev1.NodeList{}, "the node has its address", func(obj client.Object) bool {
		return obj.GetAnnotations()[v1.AnnotationIPAddress] == "100.64.0.2" && obj.GetAnnotations()[v1.AnnotationPortName] == "node-n1"
	})
	if ports := r.ports(); !strings.Contains(ports, "web.default\n0a:58:0a:10:00:02 10.16.0.2") {
		t.Errorf("ports: %s", ports)
	}

	// A finished Pod gives its address back; the next Pod gets another one, the released address is the last in the queue.
	web.Status.Phase = corev1.PodSucceeded
	r.must(r.client.Status().Update(t.Context(), web))
	r.waitGone(ip, &v1.IPList{})
	if ports := r.ports(); strings.Contains(ports, "web.default") {
		t.Errorf("the port of a finished Pod is left: %s", ports)
	}
	r.create(pod("default", "next", "n1", nil))
	if got := r.allocated("default", "next").Annotations[v1.AnnotationIPAddress]; got != "10.16.0.3" {
		t.Errorf("the next Pod has %s", got)
	}
}

// event waits for an Event about that object whose note contains the text.
func (r *rig) event(name, text string) *eventsv1.Event {
	r.Helper()
	return r.wait(&eventsv1.EventList{}, "an Event about "+name+" says "+text, func(obj client.Object) bool {
		e := obj.(*eventsv1.Event)
		return e.Regarding.Name == name && strings.Contains(e.Note, text)
	}).(*eventsv1.Event)
}

func TestStaticAddressConflict(t *testing.T) {
	r := newRig(t)
	r.start()
	r.readySubnet("ovn-default")
	static := map[string]string{v1.AnnotationIPAddress: "10.16.0.99", v1.AnnotationMACAddress: "00:00:00:53:78:05"}
	r.create(pod("default", "a", "n1", static))
	a := r.allocated("default", "a")
	if a.Annotations[v1.AnnotationIPAddress] != "10.16.0.99" || a.Annotations[v1.AnnotationMACAddress] != "00:00:00:53:78:05" {
		t.Errorf("annotations: %v", a.Annotations)
	}
	r.create(pod("default", "b", "n1", map[string]string{v1.AnnotationIPAddress: "10.16.0.99"}))
	if e := r.event("b", "AddressConflict"); e.Reason != "AcquireAddressFailed" || e.Type != corev1.EventTypeWarning {
		t.Errorf("Event: %+v", e)
	}
	r.deletePod("default", "a")
	r.allocated("default", "b")
}

func TestExhaustedSubnetRecovers(t *testing.T) {
	r := newRig(t)
	r.start()
	r.create(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "tiny"}, Spec: v1.SubnetSpec{CIDRBlock: "10.17.0.0/30", Namespaces: []string{"default"}}})
	r.readySubnet("tiny")
	r.create(pod("default", "a", "n1", nil))
	r.allocated("default", "a")
	r.create(pod("default", "b", "n1", nil))
	r.event("b", "no free IPv4 address in 10.17.0.0/30")
	r.deletePod("default", "a")
	if got := r.allocated("default", "b").Annotations[v1.AnnotationIPAddress]; got != "10.17.0.2" {
		t.Errorf("b has %s", got)
	}
}

// TestSpoofedAnnotations shows that what the author of a Pod writes is a wish, not a fact.
func TestSpoofedAnnotations(t *testing.T) {
	r := newRig(t)
	r.start()
	r.readySubnet("ovn-default")
	r.create(pod("default", "victim", "n1", nil))
	victim := r.allocated("default", "victim").Annotations[v1.AnnotationIPAddress]
	r.create(pod("default", "thief", "n1", map[string]string{
		v1.AnnotationAllocated: "true", v1.AnnotationIPAddress: victim, v1.AnnotationLogicalSwitch: "ovn-default",
		v1.AnnotationMACAddress: "0a:58:0a:10:00:02",
	}))
	r.event("thief", "AddressConflict")
	if ports := r.ports(); strings.Contains(ports, "thief") {
		t.Errorf("ports: %s", ports)
	}
}

func TestRestartWritesNothing(t *testing.T) {
	r := newRig(t)
	r.start()
	r.node("n1", "192.0.2.11")
	r.readySubnet("ovn-default")
	for _, name := range []string{"a", "b", "c"} {
		r.create(pod("default", name, "n1", nil))
		r.allocated("default", name)
	}
	r.kill()
	r.deletePod("default", "b") // while nobody looks
	r.start()
	r.create(pod("default", "d", "n1", nil))
	if got := r.allocated("default", "d").Annotations[v1.AnnotationIPAddress]; got != "10.16.0.5" {
		t.Errorf("d has %s: an address in use was given again, or one was skipped", got)
	}
	r.waitGone(&v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "b.default"}}, &v1.IPList{})
	r.kill()
	r.start()
	r.readySubnet("ovn-default")
}
