package controller_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/heddle-net/heddle/ovs/ovstest"
)

var everyNamespace = &metav1.LabelSelector{}

func adminPolicy(name string, from ...v1alpha1.AdminNetworkPolicyIngressPeer) *v1alpha1.AdminNetworkPolicy {
	return &v1alpha1.AdminNetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.AdminNetworkPolicySpec{
			Priority: 7, Subject: v1alpha1.AdminNetworkPolicySubject{Namespaces: everyNamespace},
			Ingress: []v1alpha1.AdminNetworkPolicyIngressRule{{Action: v1alpha1.AdminNetworkPolicyRuleActionDeny, From: from}},
		},
	}
}

// TestClusterPolicyStatus follows the condition of policies of all three kinds: in force, half readable, in force again, and on a
// server that cannot enforce them. What is not in force is told in an Event, too.
func TestClusterPolicyStatus(t *testing.T) {
	r := newRig(t)
	r.nb = ovstest.StartServer(t, tieredSchema(t))
	r.start()
	everybody := v1alpha1.AdminNetworkPolicyIngressPeer{Namespaces: everyNamespace}
	odd := v1alpha1.AdminNetworkPolicyIngressPeer{Namespaces: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}}}}
	admin := adminPolicy("admin", everybody)
	baseline := &v1alpha1.BaselineAdminNetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec:       v1alpha1.BaselineAdminNetworkPolicySpec{Subject: v1alpha1.AdminNetworkPolicySubject{Namespaces: everyNamespace}},
	}
	cluster := &v1alpha2.ClusterNetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "cluster"},
		Spec: v1alpha2.ClusterNetworkPolicySpec{
			Tier: v1alpha2.AdminTier, Subject: v1alpha2.ClusterNetworkPolicySubject{Namespaces: everyNamespace},
			Egress: []v1alpha2.ClusterNetworkPolicyEgressRule{{
				Action: v1alpha2.ClusterNetworkPolicyRuleActionPass, To: []v1alpha2.ClusterNetworkPolicyEgressPeer{{Nodes: &metav1.LabelSelector{}}},
			}},
		},
	}
	r.create(admin, baseline, cluster)
	r.untilPolicy(&v1alpha1.AdminNetworkPolicyList{}, "admin", "Ready")
	r.untilPolicy(&v1alpha1.BaselineAdminNetworkPolicyList{}, "default", "Ready") // without rules
	r.untilPolicy(&v1alpha2.ClusterNetworkPolicyList{}, "cluster", "Ready")       // about no Node
	r.deny(admin, odd)
	if said := r.untilPolicy(&v1alpha1.AdminNetworkPolicyList{}, "admin", "Invalid"); !strings.Contains(said, "spec.ingress[0].from[0]") {
		t.Errorf("the condition says %q", said)
	}
	r.wait(&eventsv1.EventList{}, "an Event of the policy", func(obj client.Object) bool {
		e := obj.(*eventsv1.Event)
		return e.Regarding.Kind == "AdminNetworkPolicy" && e.Reason == "Invalid" && e.Type == corev1.EventTypeWarning
	})
	r.deny(admin, everybody)
	r.untilPolicy(&v1alpha1.AdminNetworkPolicyList{}, "admin", "Ready")
}

// tieredSchema is that of OVN 23.06 as far as it matters here, whatever is installed.
func tieredSchema(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(ovstest.NorthboundSchema)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(data), `"match": {"type": "string"},`, `"match": {"type": "string"}, "tier": {"type": "integer"},`, 1)
	if !strings.Contains(text, `"pass"`) {
		text = strings.Replace(text, `"allow-stateless", "drop",`, `"allow-stateless", "pass", "drop",`, 1)
	}
	file := filepath.Join(t.TempDir(), "tiered.ovsschema")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// deny changes the peer that the policy denies.
func (r *rig) deny(obj *v1alpha1.AdminNetworkPolicy, from v1alpha1.AdminNetworkPolicyIngressPeer) {
	r.Helper()
	before := obj.DeepCopy()
	obj.Spec.Ingress[0].From[0] = from
	r.must(r.client.Patch(r.Context(), obj, client.MergeFrom(before)))
}

// TestClusterPolicyWithoutTiers: on OVN before 23.06 the condition says why the policy is not in force.
func TestClusterPolicyWithoutTiers(t *testing.T) {
	r := newRig(t)
	r.start()
	r.create(adminPolicy("admin", v1alpha1.AdminNetworkPolicyIngressPeer{Namespaces: everyNamespace}))
	if said := r.untilPolicy(&v1alpha1.AdminNetworkPolicyList{}, "admin", "NotSupported"); !strings.Contains(said, "OVN 23.06") {
		t.Errorf("the condition says %q", said)
	}
}

// untilPolicy waits until a policy's condition has that reason, and returns its message.
func (r *rig) untilPolicy(list client.ObjectList, name, reason string) (message string) {
	r.Helper()
	r.wait(list, name+" is "+reason, func(obj client.Object) bool {
		c := meta.FindStatusCondition(conditionsOf(obj), "Ready")
		if c == nil || obj.GetName() != name || c.Reason != reason || c.ObservedGeneration != obj.GetGeneration() || (c.Status == metav1.ConditionTrue) != (reason == "Ready") {
			return false
		}
		message = c.Message
		return true
	})
	return message
}

func conditionsOf(obj client.Object) []metav1.Condition {
	switch o := obj.(type) {
	case *v1alpha1.AdminNetworkPolicy:
		return o.Status.Conditions
	case *v1alpha1.BaselineAdminNetworkPolicy:
		return o.Status.Conditions
	}
	return obj.(*v1alpha2.ClusterNetworkPolicy).Status.Conditions
}
