package controller_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// untilGroup waits until a SecurityGroup's condition has that reason.
func (r *rig) untilGroup(name, reason string, generation int64) *v1.SecurityGroup {
	r.Helper()
	return r.wait(&v1.SecurityGroupList{}, fmt.Sprintf("SecurityGroup %s is %s", name, reason), func(obj client.Object) bool {
		c := readyOf(obj.(*v1.SecurityGroup).Status.Conditions)
		return obj.GetName() == name && c.Reason == reason && c.ObservedGeneration == obj.GetGeneration() && obj.GetGeneration() >= generation
	}).(*v1.SecurityGroup)
}

// TestSecurityGroupLife shows what its users see of a group: its status, with and without rules, where it cannot be in force, and an
// Event of a Pod whose group is missing.
func TestSecurityGroupLife(t *testing.T) {
	r := newRig(t)
	r.start()
	r.readySubnet("ovn-default")
	r.create(pod("default", "web", "n1", map[string]string{v1.AnnotationSecurityGroups: "web"}))
	r.allocated("default", "web")
	r.event("web", `there is no SecurityGroup "web": the Pod is denied all that its other ones do not allow`)

	r.create(&v1.SecurityGroup{ObjectMeta: metav1.ObjectMeta{Name: "web"}})
	empty := r.untilGroup("web", "Ready", 1)
	r.nb.Nbctl("--timeout=30", "wait-until", "Port_Group", empty.Status.PortGroup, `external_ids:heddle-owner="group/[]:securitygroup//web"`, "ports!=[]")
	changed := empty.DeepCopy()
	changed.Spec.IngressRules = []v1.SecurityGroupRule{{
		IPVersion: v1.SecurityGroupIPv4, Protocol: v1.SecurityGroupTCP, Priority: 1, RemoteType: v1.SecurityGroupRemoteAddress, RemoteAddress: "10.16.0.0/16",
		Policy: v1.SecurityGroupAllow,
	}}
	r.must(r.client.Patch(r.Context(), changed, client.MergeFrom(empty)))
	full := r.untilGroup("web", "Ready", empty.Generation+1) // the API server's cache may still have the one before
	if s := full.Status; !s.IngressLastSyncSuccess || !s.EgressLastSyncSuccess || s.IngressMd5 == empty.Status.IngressMd5 || s.EgressMd5 != empty.Status.EgressMd5 {
		t.Errorf("status was %+v, is %+v", empty.Status, s)
	}
	r.create(&v1.SecurityGroup{ObjectMeta: metav1.ObjectMeta{Name: "late"}, Spec: v1.SecurityGroupSpec{Tier: 1, AllowSameGroupTraffic: true}})
	r.wait(&v1.SecurityGroupList{}, "a group of tier 1 is in force, or says what OVN it needs", func(obj client.Object) bool {
		s := obj.(*v1.SecurityGroup).Status
		c := readyOf(s.Conditions)
		return obj.GetName() == "late" && (c.Reason == "Ready" && s.IngressLastSyncSuccess || c.Reason == "NotSupported" && !s.IngressLastSyncSuccess)
	})
}

// TestDoubtfulACL shows that an ACL that cannot be in force leaves its Subnet in service, and is told.
func TestDoubtfulACL(t *testing.T) {
	r := newRig(t)
	r.start()
	acl := v1.ACL{Direction: "to-lport", Priority: 1, Match: "icmp4", Action: "drop"}
	other := acl
	other.Action = "allow"
	r.create(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "blue"}, Spec: v1.SubnetSpec{
		CIDRBlock: "10.18.0.0/24", SubnetSecuritySpec: v1.SubnetSecuritySpec{Acls: []v1.ACL{acl, other}},
	}})
	const text = "spec.acls[1]: one with the same direction, priority and match has the action drop; this one is not in force"
	doubtful := r.wait(&v1.SubnetList{}, "blue is Ready, but not Validated", func(obj client.Object) bool {
		conditions := obj.(*v1.Subnet).Status.Conditions
		c := conditionOf(conditions, v1.ConditionValidated)
		return obj.GetName() == "blue" && readyOf(conditions).Status == corev1.ConditionTrue && c.Status == corev1.ConditionFalse && c.Message == text
	}).(*v1.Subnet)
	r.event("blue", text)
	mended := doubtful.DeepCopy()
	mended.Spec.Acls = mended.Spec.Acls[:1]
	r.must(r.client.Patch(r.Context(), mended, client.MergeFrom(doubtful)))
	r.wait(&v1.SubnetList{}, "blue is Validated", func(obj client.Object) bool {
		return obj.GetName() == "blue" && conditionOf(obj.(*v1.Subnet).Status.Conditions, v1.ConditionValidated).Status == corev1.ConditionTrue
	})
}
