package controller_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/e2e/sandbox/controlplane"
)

// TestServiceCIDRs: a Subnet that overlaps one waits until it is gone; one in force stays, and an Event tells.
func TestServiceCIDRs(t *testing.T) {
	r := newRig(t)
	r.start("--service-cidr=10.200.0.0/16") // no object says so: it does not count
	r.readySubnet("ovn-default")
	r.create(subnetOf("force", "10.98.1.0/24"))
	r.readySubnet("force")
	more := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "more"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.98.0.0/16"}}}
	r.create(more)
	r.event("more", "CIDR 10.98.0.0/16 overlaps 10.98.1.0/24 of Subnet force, which is in force")
	r.create(subnetOf("late", "10.98.2.0/24"), subnetOf("flag", "10.200.1.0/24"))
	r.readySubnet("flag")
	r.unreadySubnet("late", "CIDR 10.98.2.0/24 overlaps the Service CIDR 10.98.0.0/16")

	r.kill()
	r.start()
	r.create(subnetOf("own", "10.96.1.0/24"))
	r.unreadySubnet("own", "CIDR 10.96.1.0/24 overlaps the Service CIDR 10.96.0.0/16")
	r.readySubnet("force")
	r.wipe(&networkingv1.ServiceCIDRList{})
	r.readySubnet("late")
}

// TestWithoutServiceCIDRs has an API server that does not know the kind: the flag counts.
func TestWithoutServiceCIDRs(t *testing.T) {
	r := newRig(t)
	older := controlplane.OlderForTest(t, r.plane, "servicecidrs")
	r.start("--kubeconfig="+controlplane.KubeconfigForTest(t, older), "--service-cidr=10.200.0.0/16")
	r.readySubnet("ovn-default")
	r.create(subnetOf("flag", "10.200.1.0/24"), subnetOf("own", "10.96.1.0/24"))
	r.readySubnet("own")
	r.unreadySubnet("flag", "CIDR 10.200.1.0/24 overlaps the Service CIDR 10.200.0.0/16")
	if log := r.log.String(); !strings.Contains(log, "the API server has no ServiceCIDRs") {
		t.Errorf("the log does not tell:\n%s", log)
	}
}

func subnetOf(name, cidr string) *v1.Subnet {
	return &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.SubnetSpec{CIDRBlock: cidr}}
}

func (r *rig) unreadySubnet(name, message string) {
	r.Helper()
	r.wait(&v1.SubnetList{}, "Subnet "+name+" is refused", func(obj client.Object) bool {
		ready := readyOf(obj.(*v1.Subnet).Status.Conditions)
		return obj.GetName() == name && ready.Status == corev1.ConditionFalse && ready.Reason == "Conflict" && ready.Message == message
	})
}
