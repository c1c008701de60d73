package verdict

import (
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// adminTier has the AdminNetworkPolicies and the ClusterNetworkPolicies of that tier, in one order.
func (c *Cluster) adminTier(direction string) []ordered {
	var tier []ordered
	for _, p := range c.AdminNetworkPolicies {
		policy := ordered{"AdminNetworkPolicy " + p.Name, p.Spec.Priority, c.adminSubject(&p.Spec.Subject), nil}
		if direction == "ingress" {
			policy.rules = each(p.Spec.Ingress, func(r *v1alpha1.AdminNetworkPolicyIngressRule) rule {
				return rule{r.Name, action(r.Action), each(r.From, c.adminIngressPeer), adminPorts(r.Ports)}
			})
		} else {
			policy.rules = each(p.Spec.Egress, func(r *v1alpha1.AdminNetworkPolicyEgressRule) rule {
				return rule{r.Name, action(r.Action), each(r.To, c.adminEgressPeer), adminPorts(r.Ports)}
			})
		}
		tier = append(tier, policy)
	}
	return append(tier, c.clusterNetworkPolicies(v1alpha2.AdminTier, direction)...)
}

func (c *Cluster) adminSubject(s *v1alpha1.AdminNetworkPolicySubject) func(end) bool {
	return c.podsOf(s.Namespaces, (*v1alpha2.NamespacedPod)(s.Pods))
}

func (c *Cluster) adminIngressPeer(p *v1alpha1.AdminNetworkPolicyIngressPeer) func(end) bool {
	return c.podsOf(p.Namespaces, (*v1alpha2.NamespacedPod)(p.Pods))
}

func (c *Cluster) adminEgressPeer(p *v1alpha1.AdminNetworkPolicyEgressPeer) func(end) bool {
	return peerOf(c, p.Namespaces, (*v1alpha2.NamespacedPod)(p.Pods), p.Nodes, p.Networks)
}

// adminPorts have TCP for a default.
func adminPorts(ports *[]v1alpha1.AdminNetworkPolicyPort) []func(*traffic) bool {
	if ports == nil {
		return nil
	}
	return each(*ports, func(p *v1alpha1.AdminNetworkPolicyPort) func(*traffic) bool {
		switch {
		case p.PortNumber != nil:
			return numberedPort(p.PortNumber.Protocol, p.PortNumber.Port, p.PortNumber.Port)
		case p.PortRange != nil:
			return numberedPort(p.PortRange.Protocol, p.PortRange.Start, p.PortRange.End)
		case p.NamedPort != nil:
			return namedPort(*p.NamedPort)
		}
		return nil
	})
}
