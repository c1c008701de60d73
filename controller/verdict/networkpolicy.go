package verdict

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// allPorts is the last port number.
const allPorts = 65535

// networkPolicyTier is final for a Pod that a policy selects in that direction: its rules add up, and what none of them
// allows is denied.
func (c *Cluster) networkPolicyTier(t *traffic) (Decision, bool) {
	denied, final := Decision{}, false
	for _, policy := range c.NetworkPolicies {
		if policy.Namespace != t.local.pod.Namespace || !affects(policy, t.direction) || !selects(&policy.Spec.PodSelector, t.local.pod.Labels) {
			continue
		}
		name := "NetworkPolicy " + policy.Namespace + "/" + policy.Name
		if rule := c.allowingRule(policy, t); rule >= 0 {
			return Decision{Allowed: true, Policy: name, Rule: fmt.Sprintf("%s rule %d", t.direction, rule)}, true
		}
		denied, final = Decision{Policy: name}, true
	}
	return denied, final
}

// affects applies the defaults of policyTypes.
func affects(policy *networkingv1.NetworkPolicy, direction string) bool {
	if len(policy.Spec.PolicyTypes) == 0 {
		return direction == "ingress" || len(policy.Spec.Egress) > 0
	}
	kind := map[string]networkingv1.PolicyType{"ingress": networkingv1.PolicyTypeIngress, "egress": networkingv1.PolicyTypeEgress}[direction]
	return slices.Contains(policy.Spec.PolicyTypes, kind)
}

// allowingRule is the first rule that matches, -1 when none does.
func (c *Cluster) allowingRule(policy *networkingv1.NetworkPolicy, t *traffic) int {
	if t.direction == "ingress" {
		return slices.IndexFunc(policy.Spec.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool {
			return c.matches(policy.Namespace, r.From, r.Ports, t)
		})
	}
	return slices.IndexFunc(policy.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool {
		return c.matches(policy.Namespace, r.To, r.Ports, t)
	})
}

// matches wants both the peers and the ports; an empty or missing list restricts nothing.
func (c *Cluster) matches(namespace string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, t *traffic) bool {
	if len(peers) == 0 {
		return matchesPort(nil, ports, t)
	}
	by := t.sourceFor(peers)
	return slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		return c.isPeer(namespace, &p, by) && matchesPort(&p, ports, t)
	})
}

// matchesPort is about the ports of a peer. Of addresses that an egress rule names, no name of a port is known.
func matchesPort(peer *networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, t *traffic) bool {
	nameless := t.direction == "egress" && peer != nil && peer.IPBlock != nil
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		named := p.Port != nil && p.Port.Type == intstr.String
		return isPort(&p, t) && (!named || !nameless)
	})
}

func (c *Cluster) isPeer(namespace string, p *networkingv1.NetworkPolicyPeer, remote end) bool {
	everything := &metav1.LabelSelector{}
	switch {
	case p.IPBlock != nil:
		return inCIDR(p.IPBlock.CIDR, remote.addr) && !slices.ContainsFunc(p.IPBlock.Except, func(cidr string) bool { return inCIDR(cidr, remote.addr) })
	case p.NamespaceSelector != nil && p.PodSelector != nil:
		return c.selectsPod(p.NamespaceSelector, p.PodSelector, remote.pod)
	case p.NamespaceSelector != nil:
		return c.selectsPod(p.NamespaceSelector, everything, remote.pod)
	case p.PodSelector != nil:
		return remote.pod != nil && remote.pod.Namespace == namespace && selects(p.PodSelector, remote.pod.Labels)
	}
	return false // the API server refuses a peer without a field
}

// sourceFor is the other end with the address that the blocks of a rule see. Of a node that sends this is the one that its object
// shows, if a range of the rule has that one, by whatever other address the packet comes.
func (t *traffic) sourceFor(peers []networkingv1.NetworkPolicyPeer) end {
	if t.direction == "egress" || t.remote.node == nil {
		return t.remote
	}
	shown, ok := t.remote.by(nodeAddrs(t.remote.node), familyOf(t.remote.addr))
	if ok && slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		return p.IPBlock != nil && inCIDR(p.IPBlock.CIDR, shown.addr)
	}) {
		return shown
	}
	return t.remote
}

func isPort(p *networkingv1.NetworkPolicyPort, t *traffic) bool {
	wanted := orTCP("")
	if p.Protocol != nil {
		wanted = orTCP(*p.Protocol)
	}
	switch {
	case p.Port == nil:
		return t.protocol == wanted
	case p.Port.Type == intstr.String:
		return t.protocol == wanted && t.namedPort(p.Port.StrVal)
	case p.EndPort != nil:
		return t.numbered(wanted, p.Port.IntVal, *p.EndPort)
	}
	return t.numbered(wanted, p.Port.IntVal, p.Port.IntVal)
}
