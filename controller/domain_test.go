package controller_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// TestDomainNames follows a name of a policy: its object comes with the policy, its addresses get into OVN, leave it when their time is
// over, and the object goes with the last policy that names it. Objects of others stay.
func TestDomainNames(t *testing.T) {
	r := newRig(t)
	r.nb = ovstest.StartServer(t, tieredSchema(t))
	r.start()
	policy := &v1alpha2.ClusterNetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "names"},
		Spec: v1alpha2.ClusterNetworkPolicySpec{
			Tier: v1alpha2.AdminTier, Subject: v1alpha2.ClusterNetworkPolicySubject{Namespaces: everyNamespace},
			Egress: []v1alpha2.ClusterNetworkPolicyEgressRule{{
				Action: v1alpha2.ClusterNetworkPolicyRuleActionAccept, To: []v1alpha2.ClusterNetworkPolicyEgressPeer{{DomainNames: []v1alpha2.DomainName{"*.Example.org", "db.example.com"}}},
			}},
		},
	}
	theirs := &v1.DNSNameResolver{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}, Spec: v1.DNSNameResolverSpec{Name: "db.example.com."}}
	r.create(policy, theirs)
	r.untilPolicy(&v1alpha2.ClusterNetworkPolicyList{}, "names", "Ready")
	named := func(name string) func(client.Object) bool {
		return func(obj client.Object) bool { return obj.GetName() == state.DomainKey(name) }
	}
	r.wait(&v1.DNSNameResolverList{}, "the object of db.example.com", named("db.example.com."))
	obj := r.wait(&v1.DNSNameResolverList{}, "the object of *.example.org", named("*.example.org.")).(*v1.DNSNameResolver)
	set := state.DomainSet(state.IPv4, "*.example.org.")
	r.untilMembers(set)
	const seconds = 2
	now := metav1.NewTime(time.Now().Truncate(time.Second)) // as it is written
	obj.Status.ResolvedNames = []v1.DNSNameResolverResolvedName{{DNSName: "www.example.org.", ResolvedAddresses: []v1.DNSNameResolverResolvedAddress{
		{IP: "192.0.2.7", TTLSeconds: seconds, LastLookupTime: now}, {IP: "192.0.2.8", TTLSeconds: 3600, LastLookupTime: now},
	}}}
	r.must(r.client.Status().Update(r.Context(), obj))
	r.untilMembers(set, "192.0.2.7", "192.0.2.8")
	r.untilMembers(set, "192.0.2.8")
	if passed := time.Since(now.Time); passed < seconds*time.Second {
		t.Errorf("an address of %d s is gone after %v", seconds, passed)
	}
	r.must(r.client.Delete(r.Context(), policy))
	r.waitGone(obj, &v1.DNSNameResolverList{})
	r.must(r.client.Get(r.Context(), client.ObjectKeyFromObject(theirs), theirs))
}

// untilMembers waits until an address set has exactly these.
func (r *rig) untilMembers(set string, members ...string) {
	r.Helper()
	r.nb.Nbctl("--timeout=30", "wait-until", "Address_Set", set, strings.ReplaceAll(`addresses=["`+strings.Join(members, `","`)+`"]`, `""`, ""))
}
