package controller_test

import (
	"fmt"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// conditions prints those of all Vpcs and of the Subnets that every cluster has, with their times.
func (r *rig) conditions() (text string) {
	r.Helper()
	var subnets v1.SubnetList
	var vpcs v1.VpcList
	r.must(r.client.List(r.Context(), &subnets))
	r.must(r.client.List(r.Context(), &vpcs))
	for _, s := range subnets.Items {
		if s.Name == "later" {
			continue
		}
		text += fmt.Sprintln("Subnet", s.Name, s.Status.Conditions)
	}
	for _, s := range vpcs.Items {
		text += fmt.Sprintln("Vpc", s.Name, s.Status.Standby, s.Status.Conditions)
	}
	return text
}

// TestRestartKeepsConditions: a controller that has not looked yet does not say that a Subnet is out of force, and nobody is
// warned of what is as it should be.
func TestRestartKeepsConditions(t *testing.T) {
	r := newRig(t)
	r.start()
	r.node("n1", "192.0.2.11")
	for _, name := range []string{"ovn-default", "join"} {
		r.readySubnet(name)
	}
	r.wait(&v1.VpcList{}, "Vpc is Ready", func(obj client.Object) bool {
		return readyOf(obj.(*v1.Vpc).Status.Conditions).Status == "True"
	})
	r.kill()
	before := r.conditions()
	r.start("--ovn-nb-addr=unix:/nobody") // it never gets to look
	// A new Subnet comes behind everything that a restart does to the others.
	r.create(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "later"}, Spec: v1.SubnetSpec{CIDRBlock: "10.35.0.0/24"}})
	r.wait(&v1.SubnetList{}, "the new Subnet waits", func(obj client.Object) bool {
		return obj.GetName() == "later" && readyOf(obj.(*v1.Subnet).Status.Conditions).Reason == "Pending"
	})
	if after := r.conditions(); after != before {
		t.Errorf("conditions before the restart\n%safter it\n%s", before, after)
	}
	var events eventsv1.EventList
	r.must(r.client.List(t.Context(), &events))
	for _, e := range events.Items {
		if e.Reason == "Pending" {
			t.Errorf("Event of %s %s: %s", e.Regarding.Kind, e.Regarding.Name, e.Note)
		}
	}
}

// TestRestartLeadsOn: a controller that dies and starts again under its name takes its own lease on, and does not wait for it to
// end.
func TestRestartLeadsOn(t *testing.T) {
	r := newRig(t)
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "heddle-controller"}}
	r.must(client.IgnoreNotFound(r.client.Delete(t.Context(), lease)))
	leading := func() {
		t.Helper()
		r.start("--leader-elect", "--leader-election-namespace=default", "--leader-election-identity=me")
		r.must(client.IgnoreNotFound(r.client.Delete(t.Context(), pod("default", "web", "n1", nil), client.GracePeriodSeconds(0))))
		r.create(pod("default", "web", "n1", nil))
		r.allocated("default", "web")
		r.must(r.client.Get(t.Context(), client.ObjectKeyFromObject(lease), lease))
	}
	leading()
	acquired := lease.Spec.AcquireTime
	r.kill()
	leading()
	if *lease.Spec.HolderIdentity != "me" || *lease.Spec.LeaseTransitions != 0 || !lease.Spec.AcquireTime.Equal(acquired) {
		t.Errorf("the lease was taken again: %+v", lease.Spec)
	}
}
