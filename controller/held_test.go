package controller_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// TestHeldRemovalsKeepTheirAddresses: while the ports of 120 Pods that nobody accounts for stay in OVN, nobody else gets their
// addresses; a Pod that comes back gets the one that it had; released, they are free.
func TestHeldRemovalsKeepTheirAddresses(t *testing.T) {
	const n = 120
	r := newRig(t)
	r.start()
	r.node("n1", "192.0.2.11")
	r.readySubnet("ovn-default")
	for i := range n {
		r.create(pod("default", fmt.Sprintf("p%d", i), "n1", nil))
	}
	had := make(map[string]string) // by address
	for i := range n {
		p := r.allocated("default", fmt.Sprintf("p%d", i))
		had[p.Annotations[v1.AnnotationIPAddress]] = p.Name
	}
	r.used("ovn-default", n)
	r.kill()
	r.wipe(&corev1.PodList{}, &v1.IPList{})

	r.start()
	r.wait(&v1.SubnetList{}, "the Subnet says what is held", func(obj client.Object) bool {
		held := conditionOf(obj.(*v1.Subnet).Status.Conditions, v1.ConditionRemovalsHeld)
		return obj.GetName() == "ovn-default" && held.Status == corev1.ConditionTrue && held.Reason == "TooManyRemovals"
	})
	r.event("ovn-default", "given to nobody")
	r.create(pod("default", "new", "n1", nil), pod("default", "p7", "n1", nil), pod("default", "second", "n1", map[string]string{
		v1.AnnotationIPAddress: "10.16.0.20",
	}))
	for _, name := range []string{"new", "p7"} {
		address := r.allocated("default", name).Annotations[v1.AnnotationIPAddress]
		if holder, held := had[address]; held && holder != name {
			t.Errorf("%s has %s, which the port of %s still has", name, address, holder)
		} else if name == "p7" && holder != name {
			t.Errorf("p7 has %s, and not what its port still has", address)
		}
	}
	r.event("second", "AddressConflict: 10.16.0.20 is held by")

	r.kill()
	r.start("--release-held-removals")
	r.used("ovn-default", 3)
	if got := r.allocated("default", "second").Annotations[v1.AnnotationIPAddress]; got != "10.16.0.20" {
		t.Errorf("second has %s", got)
	}
	r.wait(&v1.SubnetList{}, "the Subnet says that all is released", func(obj client.Object) bool {
		held := conditionOf(obj.(*v1.Subnet).Status.Conditions, v1.ConditionRemovalsHeld)
		return obj.GetName() == "ovn-default" && held.Status == corev1.ConditionFalse && held.Reason == "Released"
	})
}

// used waits until the Subnet counts that many addresses.
func (r *rig) used(subnet string, n int) {
	r.Helper()
	r.wait(&v1.SubnetList{}, fmt.Sprintf("%s has %d addresses in use", subnet, n), func(obj client.Object) bool {
		return obj.GetName() == subnet && obj.(*v1.Subnet).Status.V4UsingIPs.String() == fmt.Sprint(n)
	})
}
