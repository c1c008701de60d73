package verdict

import (
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// clusterNetworkPolicies are those of a tier.
func (c *Cluster) clusterNetworkPolicies(tier v1alpha2.Tier, direction string) []ordered {
	var policies []ordered
	for _, p := range c.ClusterNetworkPolicies {
		if p.Spec.Tier != tier {
			continue
		}
		policy := ordered{"ClusterNetworkPolicy " + p.Name, p.Spec.Priority, c.podsOf(p.Spec.Subject.Namespaces, p.Spec.Subject.Pods), nil}
		if direction == "ingress" {
			policy.rules = each(p.Spec.Ingress, func(r *v1alpha2.ClusterNetworkPolicyIngressRule) rule {
				return rule{r.Name, clusterAction(r.Action), each(r.From, c.clusterIngressPeer), each(r.Protocols, clusterProtocol)}
			})
		} else {
			policy.rules = each(p.Spec.Egress, func(r *v1alpha2.ClusterNetworkPolicyEgressRule) rule {
				return rule{r.Name, clusterAction(r.Action), each(r.To, c.clusterEgressPeer), each(r.Protocols, clusterProtocol)}
			})
		}
		policies = append(policies, policy)
	}
	return policies
}

func clusterAction(a v1alpha2.ClusterNetworkPolicyRuleAction) action {
	if a == v1alpha2.ClusterNetworkPolicyRuleActionAccept {
		return allow
	}
	return action(a)
}

func (c *Cluster) clusterIngressPeer(p *v1alpha2.ClusterNetworkPolicyIngressPeer) func(end) bool {
	return c.podsOf(p.Namespaces, p.Pods)
}

func (c *Cluster) clusterEgressPeer(p *v1alpha2.ClusterNetworkPolicyEgressPeer) func(end) bool {
	return peerOf(c, p.Namespaces, p.Pods, p.Nodes, p.Networks)
}

func clusterProtocol(p *v1alpha2.ClusterNetworkPolicyProtocol) func(*traffic) bool {
	switch {
	case p.TCP != nil:
		return clusterPort(corev1.ProtocolTCP, p.TCP.DestinationPort)
	case p.UDP != nil:
		return clusterPort(corev1.ProtocolUDP, p.UDP.DestinationPort)
	case p.SCTP != nil:
		return clusterPort(corev1.ProtocolSCTP, p.SCTP.DestinationPort)
	case p.DestinationNamedPort != "":
		return namedPort(p.DestinationNamedPort)
	}
	return nil
}

// clusterPort wants a field that we know, of the protocol (MinProperties of ClusterNetworkPolicyProtocolTCP and the like) and of its port.
func clusterPort(protocol corev1.Protocol, port *v1alpha2.Port) func(*traffic) bool {
	switch {
	case port == nil:
		return nil
	case port.Range != nil:
		return numberedPort(protocol, port.Range.Start, port.Range.End)
	case port.Number != 0:
		return numberedPort(protocol, port.Number, port.Number)
	}
	return nil
}
