package controller_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// TestBlockedPodIsTold shows that a Pod whose port's name is taken says so.
func TestBlockedPodIsTold(t *testing.T) {
	r := newRig(t)
	r.nb.Nbctl("ls-add", "stranger", "--", "lsp-add", "stranger", "web.default")
	r.start()
	r.node("n1", "192.0.2.11")
	r.readySubnet("ovn-default")
	r.create(pod("default", "web", "n1", nil))
	r.allocated("default", "web")
	r.event("web", "was not made by Heddle")
}

// TestConflictAtStart: a Subnet that cannot be served when the controller starts keeps the addresses of its Pods.
func TestConflictAtStart(t *testing.T) {
	r := newRig(t)
	r.start()
	r.node("n1", "192.0.2.11")
	r.create(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "blue"}, Spec: v1.SubnetSpec{CIDRBlock: "10.17.0.0/24", Namespaces: []string{"default"}}})
	blue := r.readySubnet("blue")
	r.create(pod("default", "a", "n1", nil))
	a := r.allocated("default", "a").Annotations[v1.AnnotationIPAddress]
	r.kill()
	r.must(r.client.Get(t.Context(), client.ObjectKeyFromObject(blue), blue))
	blue.Spec.EnableEcmp = true // not supported
	r.must(r.client.Update(t.Context(), blue))
	r.start()
	r.wait(&v1.SubnetList{}, "blue is not served", func(obj client.Object) bool {
		return obj.GetName() == "blue" && readyOf(obj.(*v1.Subnet).Status.Conditions).Reason == "NotSupported"
	})
	r.must(r.client.Get(t.Context(), client.ObjectKeyFromObject(blue), blue))
	blue.Spec.EnableEcmp = false
	r.must(r.client.Update(t.Context(), blue))
	r.readySubnet("blue")
	r.create(pod("default", "b", "n1", nil))
	b := r.allocated("default", "b").Annotations[v1.AnnotationIPAddress]
	if a == b {
		t.Errorf("a and b both have %s", a)
	}
	var ip v1.IP
	r.must(r.client.Get(t.Context(), client.ObjectKey{Name: "a.default"}, &ip))
	if ip.Spec.V4IPAddress != a {
		t.Errorf("a.default has %s, was %s", ip.Spec.V4IPAddress, a)
	}
	r.deletePod("default", "a")
	r.waitGone(&v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "a.default"}}, &v1.IPList{})
}

// TestSubnetMadeAnew: a Subnet whose finalizer is taken off and which is made anew does not give addresses in use again.
func TestSubnetMadeAnew(t *testing.T) {
	r := newRig(t)
	r.start()
	r.node("n1", "192.0.2.11")
	spec := v1.SubnetSpec{CIDRBlock: "10.17.0.0/24", Namespaces: []string{"default"}}
	r.create(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "blue"}, Spec: spec})
	blue := r.readySubnet("blue")
	r.create(pod("default", "a", "n1", nil))
	a := r.allocated("default", "a").Annotations[v1.AnnotationIPAddress]
	r.must(r.client.Delete(t.Context(), blue))
	r.must(r.client.Get(t.Context(), client.ObjectKeyFromObject(blue), blue))
	r.must(r.client.Patch(t.Context(), blue, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))))
	r.waitGone(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "blue"}}, &v1.SubnetList{})
	r.create(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "blue"}, Spec: spec})
	r.readySubnet("blue")
	r.create(pod("default", "b", "n1", nil))
	b := r.allocated("default", "b").Annotations[v1.AnnotationIPAddress]
	if a == b {
		t.Errorf("a and b both have %s", a)
	}
}

// TestIPObjectIsThereAlready: an IP object of the Pod that says the same, as a call that failed halfway leaves it.
func TestIPObjectIsThereAlready(t *testing.T) {
	r := newRig(t)
	r.start()
	r.node("n1", "192.0.2.11")
	r.readySubnet("ovn-default")
	r.create(&v1.IP{
		ObjectMeta: metav1.ObjectMeta{Name: "web.default", Labels: map[string]string{v1.LabelIPReserved: "false"}},
		Spec:       v1.IPSpec{Subnet: "ovn-default", PodName: "web", Namespace: "default", V4IPAddress: "10.16.0.2"},
	})
	r.create(pod("default", "web", "n1", nil))
	r.allocated("default", "web")
}

// TestReservationShowsItsAddresses: an IP object made by hand with the least that it needs gets the rest.
func TestReservationShowsItsAddresses(t *testing.T) {
	r := newRig(t)
	r.start()
	r.readySubnet("ovn-default")
	r.create(&v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "printer"}, Spec: v1.IPSpec{Subnet: "ovn-default", IPAddress: "10.16.0.9"}})
	r.wait(&v1.IPList{}, "the IP shows its addresses", func(obj client.Object) bool {
		spec := obj.(*v1.IP).Spec
		return spec.V4IPAddress == "10.16.0.9" && spec.IPAddress == "10.16.0.9" && spec.MacAddress == "0a:58:0a:10:00:09"
	})
}

// TestNodeInsideOfASubnet: a Node that comes with an address of a Subnet in force is warned; the Subnet stays in force.
func TestNodeInsideOfASubnet(t *testing.T) {
	r := newRig(t)
	r.start()
	r.create(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "blue"}, Spec: v1.SubnetSpec{CIDRBlock: "192.0.2.0/24"}})
	r.readySubnet("blue")
	r.node("n1", "192.0.2.11")
	r.event("n1", "address 192.0.2.11 lies in the range of Subnet blue")
	if ready := readyOf(r.readySubnet("blue").Status.Conditions); ready.Status != "True" {
		t.Errorf("blue: %+v", ready)
	}
}

// TestSubnetNamedAsTheVpc: what the schema cannot refuse, because the VPC is not named, the condition tells.
func TestSubnetNamedAsTheVpc(t *testing.T) {
	r := newRig(t)
	r.start()
	r.create(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "ovn-cluster"}, Spec: v1.SubnetSpec{CIDRBlock: "10.17.0.0/24"}})
	r.wait(&v1.SubnetList{}, "ovn-cluster is refused", func(obj client.Object) bool {
		return obj.GetName() == "ovn-cluster" && readyOf(obj.(*v1.Subnet).Status.Conditions).Reason == "Invalid"
	})
}

// TestJoinIsNeverClosed: a Node that comes after somebody has deleted the join Subnet, which cannot end, has its address.
func TestJoinIsNeverClosed(t *testing.T) {
	r := newRig(t)
	r.start()
	r.node("n1", "192.0.2.11")
	r.readySubnet("join")
	annotated := func(name string) func(client.Object) bool {
		return func(obj client.Object) bool {
			return obj.GetName() == name && obj.GetAnnotations()[v1.AnnotationIPAddress] != ""
		}
	}
	r.wait(&corev1.NodeList{}, "n1 has its address", annotated("n1"))
	r.must(r.client.Delete(t.Context(), &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "join"}}))
	r.wait(&v1.SubnetList{}, "join says that it is in use", func(obj client.Object) bool {
		return obj.GetName() == "join" && readyOf(obj.(*v1.Subnet).Status.Conditions).Reason == "InUse"
	})
	r.node("n2", "192.0.2.12")
	r.wait(&corev1.NodeList{}, "n2 has its address", annotated("n2"))
}

// TestNewPodOfTheNameMoves: a Pod that asks for another address than an earlier Pod of its name had gets it, and the address that
// is given up is free only after the port has gone.
func TestNewPodOfTheNameMoves(t *testing.T) {
	r := newRig(t)
	r.start()
	r.node("n1", "192.0.2.11")
	r.readySubnet("ovn-default")
	r.create(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "blue"}, Spec: v1.SubnetSpec{CIDRBlock: "10.17.0.0/24"}})
	r.readySubnet("blue")
	r.create(pod("default", "db", "n1", nil))
	r.allocated("default", "db")
	for _, want := range []map[string]string{
		{v1.AnnotationLogicalSwitch: "blue", v1.AnnotationIPAddress: "10.17.0.40"},
		{v1.AnnotationIPAddress: "10.17.0.50", v1.AnnotationLogicalSwitch: "blue"},
		{v1.AnnotationIPAddress: "10.16.0.60", v1.AnnotationLogicalSwitch: "ovn-default"},
	} {
		r.kill() // so that the controller learns of both Pods at once
		r.deletePod("default", "db")
		r.create(pod("default", "db", "n1", want))
		r.start()
		if got := r.allocated("default", "db").Annotations[v1.AnnotationIPAddress]; got != want[v1.AnnotationIPAddress] {
			t.Errorf("db has %s, want %s", got, want[v1.AnnotationIPAddress])
		}
	}
	r.used("blue", 0)
	r.used("ovn-default", 1)
}

// TestJoinIsForNodes: no Pod takes an address of the join Subnet.
func TestJoinIsForNodes(t *testing.T) {
	r := newRig(t)
	r.start()
	r.readySubnet("join")
	r.create(pod("default", "guest", "n1", map[string]string{v1.AnnotationLogicalSwitch: "join"}))
	r.event("guest", "the Subnet join is for nodes")
}
