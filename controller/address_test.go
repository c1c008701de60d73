package controller_test

import (
	"fmt"
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
	running := web.DeepCopy()
	web.Status.Phase = corev1.PodSucceeded
	r.must(r.client.Status().Patch(t.Context(), web, client.MergeFrom(running)))
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

// TestNamesThatMeet shows that a Pod cannot get at a Node's address by its name: the Pod node-a of Namespace b and the Node
// a.b would share an IP object.
func TestNamesThatMeet(t *testing.T) {
	r := newRig(t)
	r.start()
	r.node("a.b", "192.0.2.11")
	r.readySubnet("ovn-default")
	r.wait(&v1.IPList{}, "the node has its address", func(obj client.Object) bool { return obj.GetName() == "node-a.b" })
	r.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "b"}})
	r.create(pod("b", "node-a", "a.b", nil))
	r.event("node-a", "IP node-a.b: belongs to a.b")
}

// TestReservedAddress makes an IP by hand: nobody gets its address, until it is deleted.
func TestReservedAddress(t *testing.T) {
	r := newRig(t)
	r.start()
	r.readySubnet("ovn-default")
	reserved := &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "printer"}, Spec: v1.IPSpec{Subnet: "ovn-default", V4IPAddress: "10.16.0.2"}}
	r.create(reserved)
	r.wait(&v1.IPList{}, "the reservation is marked", func(obj client.Object) bool {
		return obj.GetName() == "printer" && obj.GetLabels()[v1.LabelIPReserved] == "true" && len(obj.GetFinalizers()) == 1
	})
	r.create(pod("default", "a", "n1", nil))
	if got := r.allocated("default", "a").Annotations[v1.AnnotationIPAddress]; got != "10.16.0.3" {
		t.Errorf("a has %s", got)
	}
	r.create(pod("default", "b", "n1", map[string]string{v1.AnnotationIPAddress: "10.16.0.2"}))
	r.event("b", "AddressConflict: 10.16.0.2 is held by printer")
	r.must(r.client.Delete(t.Context(), reserved))
	r.allocated("default", "b")
	r.waitGone(reserved, &v1.IPList{})
}

// TestSubnetInUse shows that a Subnet stays until its last Pod is gone, and says who holds it.
func TestSubnetInUse(t *testing.T) {
	r := newRig(t)
	r.start()
	blue := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "blue"}, Spec: v1.SubnetSpec{CIDRBlock: "10.17.0.0/24", Namespaces: []string{"default"}}}
	r.create(blue)
	r.readySubnet("blue")
	r.create(pod("default", "a", "n1", nil))
	r.allocated("default", "a")
	r.must(r.client.Delete(t.Context(), blue))
	r.wait(&v1.SubnetList{}, "Subnet blue says who holds it", func(obj client.Object) bool {
		ready := readyOf(obj.(*v1.Subnet).Status.Conditions)
		return obj.GetName() == "blue" && ready.Reason == "InUse" && strings.Contains(ready.Message, "a.default")
	})
	r.create(pod("default", "late", "n1", map[string]string{v1.AnnotationLogicalSwitch: "blue"}))
	r.event("late", "blue: the Subnet does not exist or is not Ready")
	r.deletePod("default", "a")
	r.waitGone(blue, &v1.SubnetList{})
}

// TestAllAtOnce applies Namespaces, their Subnets and their Pods in one go: each Pod must be in its own Subnet.
func TestAllAtOnce(t *testing.T) {
	r := newRig(t)
	r.start()
	r.readySubnet("ovn-default")
	const rounds = 30
	for i := range rounds {
		name := fmt.Sprintf("at-once-%d", i)
		r.create(
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}},
			&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.SubnetSpec{CIDRBlock: fmt.Sprintf("10.20.%d.0/24", i), Namespaces: []string{name}}},
			pod(name, "web", "n1", nil),
		)
	}
	for i := range rounds {
		name := fmt.Sprintf("at-once-%d", i)
		if got := r.allocated(name, "web").Annotations[v1.AnnotationLogicalSwitch]; got != name {
			t.Errorf("the Pod of Namespace %s is in Subnet %s", name, got)
		}
	}
}

// TestSubnetProblems shows what the schema cannot refuse: a condition and an Event say what is wrong.
func TestSubnetProblems(t *testing.T) {
	r := newRig(t)
	r.start()
	r.node("n1", "192.0.2.11")
	r.readySubnet("ovn-default")
	for _, c := range []struct{ name, cidr, reason, message string }{
		{"over-subnet", "10.16.128.0/17", "Conflict", "CIDR 10.16.128.0/17 overlaps 10.16.0.0/16 of Subnet ovn-default"},
		{"over-services", "10.96.128.0/17", "Conflict", "CIDR 10.96.128.0/17 overlaps the Service CIDR 10.96.0.0/16"},
		{"over-join", "100.64.1.0/24", "Conflict", "CIDR 100.64.1.0/24 overlaps 100.64.0.0/16 of Subnet join"},
		{"over-node", "192.0.2.0/24", "Conflict", "CIDR 192.0.2.0/24 contains the address 192.0.2.11 of Node n1"},
	} {
		r.create(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: c.name}, Spec: v1.SubnetSpec{CIDRBlock: c.cidr}})
		r.wait(&v1.SubnetList{}, c.name+" is refused", func(obj client.Object) bool {
			ready := readyOf(obj.(*v1.Subnet).Status.Conditions)
			return obj.GetName() == c.name && ready.Status == corev1.ConditionFalse && ready.Reason == c.reason && ready.Message == c.message
		})
		r.event(c.name, c.message)
	}
	r.create(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "later"}, Spec: v1.SubnetSpec{
		CIDRBlock: "10.18.0.0/24", SubnetLinkSpec: v1.SubnetLinkSpec{EnableDHCP: true},
	}})
	r.event("later", "spec.enableDHCP is not supported yet")
}

// TestLaterAnnotations: what a Pod asks for in vain is said, and it runs all the same.
func TestLaterAnnotations(t *testing.T) {
	r := newRig(t)
	r.start()
	r.readySubnet("ovn-default")
	r.create(pod("default", "slow", "n1", map[string]string{
		"ovn.kubernetes.io/layer2_forward": "true", "ovn.kubernetes.io/mirror": "false", "ovn.kubernetes.io/ip_pool": "p1",
		"ovn.kubernetes.io/ingress_rate": "10M", "ovn.kubernetes.io/egress_rate": "10",
	}))
	r.allocated("default", "slow")
	r.event("slow", "not supported yet, without effect: annotation ovn.kubernetes.io/ip_pool, ovn.kubernetes.io/layer2_forward")
	r.event("slow", `without effect: annotation ovn.kubernetes.io/ingress_rate: "10M" is not a number of Mbit/s, such as 10`)
}
