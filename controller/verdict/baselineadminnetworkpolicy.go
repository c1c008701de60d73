package verdict

import (
	"math"

	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// baselineTier has the ClusterNetworkPolicies of that tier, then the BaselineAdminNetworkPolicy, which has no priority.
func (c *Cluster) baselineTier(direction string) []ordered {
	tier := c.clusterNetworkPolicies(v1alpha2.BaselineTier, direction)
	for _, p := range c.BaselineAdminNetworkPolicies {
		policy := ordered{"BaselineAdminNetworkPolicy " + p.Name, math.MaxInt32, c.adminSubject(&p.Spec.Subject), nil}
		if direction == "ingress" {
			policy.rules = each(p.Spec.Ingress, func(r *v1alpha1.BaselineAdminNetworkPolicyIngressRule) rule {
				return rule{r.Name, action(r.Action), each(r.From, c.adminIngressPeer), adminPorts(r.Ports)}
			})
		} else {
			policy.rules = each(p.Spec.Egress, func(r *v1alpha1.BaselineAdminNetworkPolicyEgressRule) rule {
				return rule{r.Name, action(r.Action), each(r.To, c.baselineEgressPeer), adminPorts(r.Ports)}
			})
		}
		tier = append(tier, policy)
	}
	return tier
}

func (c *Cluster) baselineEgressPeer(p *v1alpha1.BaselineAdminNetworkPolicyEgressPeer) func(end) bool {
	return peerOf(c, p.Namespaces, (*v1alpha2.NamespacedPod)(p.Pods), p.Nodes, p.Networks)
}
