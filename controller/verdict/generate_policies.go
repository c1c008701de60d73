package verdict

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

func (g *generator) policies() {
	priorities := g.Perm(6)
	priority := func(i int) int32 { return []int32{0, 1, 2, 500, 999, 1000}[priorities[i%6]] }
	nps := g.upTo(g.size.NetworkPolicies)
	if (g.size.ClusterNetworkPolicies > 0 || g.size.Baseline) && g.in(2) { // else the baseline tier is hardly asked
		nps = 0
	}
	for i := range nps {
		g.c.NetworkPolicies = append(g.c.NetworkPolicies, g.networkPolicy(i))
	}
	anps := g.upTo(min(g.size.AdminNetworkPolicies, 6))
	for i := range anps {
		g.c.AdminNetworkPolicies = append(g.c.AdminNetworkPolicies, g.adminNetworkPolicy(fmt.Sprintf("anp%d", i), priority(i)))
	}
	for i := range g.upTo(min(g.size.ClusterNetworkPolicies, 6-anps)) {
		g.c.ClusterNetworkPolicies = append(g.c.ClusterNetworkPolicies, g.clusterNetworkPolicy(fmt.Sprintf("cnp%d", i), priority(anps+i)))
	}
	if g.size.Baseline && !g.in(4) {
		g.c.BaselineAdminNetworkPolicies = append(g.c.BaselineAdminNetworkPolicies, g.baseline())
	}
}

// upTo chooses the upper half: few policies decide little.
func (g *generator) upTo(n int) int { return n/2 + g.IntN(n-n/2+1) }

// some makes a list of up to n.
func some[T any](g *generator, least, n int, another func() T) []T {
	var list []T
	for range least + g.IntN(max(n-least, 0)+1) {
		list = append(list, another())
	}
	return list
}

func (g *generator) networkPolicy(i int) *networkingv1.NetworkPolicy {
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: one(g.Rand, g.c.Namespaces).Name, Name: fmt.Sprintf("np%d", i/2)}}
	for _, other := range g.c.NetworkPolicies {
		if other.Namespace == p.Namespace && other.Name == p.Name {
			p.Name += "b"
		}
	}
	p.Spec.PodSelector = g.selector(podLabels)
	p.Spec.Ingress = some(g, 0, g.size.Rules, func() networkingv1.NetworkPolicyIngressRule {
		return networkingv1.NetworkPolicyIngressRule{From: some(g, 0, g.size.Peers, g.networkPolicyPeer), Ports: g.networkPolicyPorts()}
	})
	if !g.in(2) {
		p.Spec.Egress = some(g, 0, g.size.Rules, func() networkingv1.NetworkPolicyEgressRule {
			return networkingv1.NetworkPolicyEgressRule{To: some(g, 0, g.size.Peers, g.networkPolicyPeer), Ports: g.networkPolicyPorts()}
		})
	}
	p.Spec.PolicyTypes = one(g.Rand, [][]networkingv1.PolicyType{
		nil, {networkingv1.PolicyTypeIngress}, {networkingv1.PolicyTypeEgress}, {networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
	})
	return p
}

func (g *generator) networkPolicyPeer() networkingv1.NetworkPolicyPeer {
	namespaces, pods := g.namespaces(), g.selector(podLabels)
	switch g.IntN(5) {
	case 0:
		return networkingv1.NetworkPolicyPeer{PodSelector: &pods}
	case 1:
		return networkingv1.NetworkPolicyPeer{NamespaceSelector: &namespaces}
	case 2:
		return networkingv1.NetworkPolicyPeer{NamespaceSelector: &namespaces, PodSelector: &pods}
	}
	block := g.cidr()
	peer := networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: block.String()}}
	for _, cidr := range slices.Concat(g.cidrs[1:4]...) { // an except is a strict part of its range
		if cidr.Bits() > block.Bits() && block.Contains(cidr.Addr()) && g.in(4) {
			peer.IPBlock.Except = append(peer.IPBlock.Except, cidr.String())
		}
	}
	return peer
}

func (g *generator) networkPolicyPorts() []networkingv1.NetworkPolicyPort {
	if g.in(2) {
		return nil
	}
	return some(g, 1, g.size.Ports, g.networkPolicyPort)
}

func (g *generator) networkPolicyPort() networkingv1.NetworkPolicyPort {
	var p networkingv1.NetworkPolicyPort
	if protocol := one(g.Rand, protocols); !g.in(4) {
		p.Protocol = &protocol
	}
	first, last := g.portRange()
	number, name := intstr.FromInt32(first), intstr.FromString(one(g.Rand, portNames))
	switch g.IntN(5) {
	case 0: // every port of the protocol
	case 1:
		p.Port, p.EndPort = &number, &last
	case 2, 3:
		p.Port = &name
	default:
		p.Port = &number
	}
	return p
}

// portRange has at least two ports: cluster-wide kinds want it so.
func (g *generator) portRange() (first, last int32) {
	first = one(g.Rand, portNumbers)
	return first, one(g.Rand, []int32{first + 1, first + 1, 8080 + first, allPorts})
}

func (g *generator) pods() (namespaces, pods metav1.LabelSelector) {
	return g.namespaces(), g.selector(podLabels)
}

// fewCIDRs are different ones.
func fewCIDRs[CIDR ~string](g *generator) []CIDR {
	var list []CIDR
	for range 1 + g.IntN(2) {
		list = append(list, CIDR(g.cidr().Masked().String()))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (g *generator) adminSubject() v1alpha1.AdminNetworkPolicySubject {
	namespaces, pods := g.pods()
	if g.in(2) {
		return v1alpha1.AdminNetworkPolicySubject{Namespaces: &namespaces}
	}
	return v1alpha1.AdminNetworkPolicySubject{Pods: &v1alpha1.NamespacedPod{NamespaceSelector: namespaces, PodSelector: pods}}
}

func (g *generator) adminIngressPeer() v1alpha1.AdminNetworkPolicyIngressPeer {
	if g.in(40) {
		return v1alpha1.AdminNetworkPolicyIngressPeer{} // a field of a version to come
	}
	s := g.adminSubject()
	return v1alpha1.AdminNetworkPolicyIngressPeer(s)
}

func (g *generator) adminEgressPeer() v1alpha1.AdminNetworkPolicyEgressPeer {
	switch g.IntN(4) {
	case 0:
		nodes := g.selector(clusterLabels)
		return v1alpha1.AdminNetworkPolicyEgressPeer{Nodes: &nodes}
	case 1:
		return v1alpha1.AdminNetworkPolicyEgressPeer{Networks: fewCIDRs[v1alpha1.CIDR](g)}
	}
	p := g.adminIngressPeer()
	return v1alpha1.AdminNetworkPolicyEgressPeer{Namespaces: p.Namespaces, Pods: p.Pods}
}

// adminPorts leaves names out where the API refuses them.
func (g *generator) adminPorts(named bool) *[]v1alpha1.AdminNetworkPolicyPort {
	if g.in(2) {
		return nil
	}
	ports := some(g, 1, g.size.Ports, func() v1alpha1.AdminNetworkPolicyPort {
		first, last := g.portRange()
		switch name := one(g.Rand, portNames); {
		case named && g.in(3):
			return v1alpha1.AdminNetworkPolicyPort{NamedPort: &name}
		case g.in(2):
			return v1alpha1.AdminNetworkPolicyPort{PortRange: &v1alpha1.PortRange{Protocol: one(g.Rand, protocols), Start: first, End: last}}
		}
		return v1alpha1.AdminNetworkPolicyPort{PortNumber: &v1alpha1.Port{Protocol: one(g.Rand, protocols), Port: first}}
	})
	return &ports
}

func (g *generator) adminNetworkPolicy(name string, priority int32) *v1alpha1.AdminNetworkPolicy {
	p := &v1alpha1.AdminNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.Priority, p.Spec.Subject = priority, g.adminSubject()
	actions := []v1alpha1.AdminNetworkPolicyRuleAction{v1alpha1.AdminNetworkPolicyRuleActionAllow, v1alpha1.AdminNetworkPolicyRuleActionDeny, v1alpha1.AdminNetworkPolicyRuleActionPass}
	p.Spec.Ingress = some(g, 0, g.size.Rules, func() v1alpha1.AdminNetworkPolicyIngressRule {
		return v1alpha1.AdminNetworkPolicyIngressRule{Action: one(g.Rand, actions), From: some(g, 1, g.size.Peers, g.adminIngressPeer), Ports: g.adminPorts(true)}
	})
	p.Spec.Egress = some(g, 0, g.size.Rules, func() v1alpha1.AdminNetworkPolicyEgressRule {
		r := v1alpha1.AdminNetworkPolicyEgressRule{Action: one(g.Rand, actions), To: some(g, 1, g.size.Peers, g.adminEgressPeer)}
		r.Ports = g.adminPorts(!slices.ContainsFunc(r.To, func(p v1alpha1.AdminNetworkPolicyEgressPeer) bool { return p.Nodes != nil || p.Networks != nil }))
		return r
	})
	return p
}

func (g *generator) baseline() *v1alpha1.BaselineAdminNetworkPolicy {
	p := &v1alpha1.BaselineAdminNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	p.Spec.Subject = g.adminSubject()
	anp := g.adminNetworkPolicy("", 0)
	act := func() v1alpha1.BaselineAdminNetworkPolicyRuleAction {
		return one(g.Rand, []v1alpha1.BaselineAdminNetworkPolicyRuleAction{v1alpha1.BaselineAdminNetworkPolicyRuleActionAllow, v1alpha1.BaselineAdminNetworkPolicyRuleActionDeny})
	}
	for _, r := range anp.Spec.Ingress {
		p.Spec.Ingress = append(p.Spec.Ingress, v1alpha1.BaselineAdminNetworkPolicyIngressRule{Action: act(), From: r.From, Ports: r.Ports})
	}
	for _, r := range anp.Spec.Egress {
		to := each(r.To, func(p *v1alpha1.AdminNetworkPolicyEgressPeer) v1alpha1.BaselineAdminNetworkPolicyEgressPeer {
			return v1alpha1.BaselineAdminNetworkPolicyEgressPeer{Namespaces: p.Namespaces, Pods: p.Pods, Nodes: p.Nodes, Networks: p.Networks}
		})
		p.Spec.Egress = append(p.Spec.Egress, v1alpha1.BaselineAdminNetworkPolicyEgressRule{Action: act(), To: to, Ports: r.Ports})
	}
	return p
}

func (g *generator) clusterSubject() v1alpha2.ClusterNetworkPolicySubject {
	namespaces, pods := g.pods()
	if g.in(2) {
		return v1alpha2.ClusterNetworkPolicySubject{Namespaces: &namespaces}
	}
	return v1alpha2.ClusterNetworkPolicySubject{Pods: &v1alpha2.NamespacedPod{NamespaceSelector: namespaces, PodSelector: pods}}
}

func (g *generator) clusterIngressPeer() v1alpha2.ClusterNetworkPolicyIngressPeer {
	if g.in(40) {
		return v1alpha2.ClusterNetworkPolicyIngressPeer{}
	}
	return v1alpha2.ClusterNetworkPolicyIngressPeer(g.clusterSubject())
}

func (g *generator) clusterEgressPeer() v1alpha2.ClusterNetworkPolicyEgressPeer {
	switch g.IntN(4) {
	case 0:
		nodes := g.selector(clusterLabels)
		return v1alpha2.ClusterNetworkPolicyEgressPeer{Nodes: &nodes}
	case 1:
		return v1alpha2.ClusterNetworkPolicyEgressPeer{Networks: fewCIDRs[v1alpha2.CIDR](g)}
	}
	p := g.clusterIngressPeer()
	return v1alpha2.ClusterNetworkPolicyEgressPeer{Namespaces: p.Namespaces, Pods: p.Pods}
}

func (g *generator) clusterProtocols(named bool) []v1alpha2.ClusterNetworkPolicyProtocol {
	if g.in(2) {
		return nil
	}
	return some(g, 1, g.size.Ports, func() v1alpha2.ClusterNetworkPolicyProtocol {
		if named && g.in(3) {
			return v1alpha2.ClusterNetworkPolicyProtocol{DestinationNamedPort: one(g.Rand, portNames)}
		}
		first, last := g.portRange()
		port := one(g.Rand, []*v1alpha2.Port{{Number: first}, {Range: &v1alpha2.PortRange{Start: first, End: last}}, {Range: &v1alpha2.PortRange{Start: 1, End: allPorts}}})
		if g.in(15) {
			port = nil // a field of a version to come
		}
		switch one(g.Rand, protocols) {
		case corev1.ProtocolUDP:
			return v1alpha2.ClusterNetworkPolicyProtocol{UDP: &v1alpha2.ClusterNetworkPolicyProtocolUDP{DestinationPort: port}}
		case corev1.ProtocolSCTP:
			return v1alpha2.ClusterNetworkPolicyProtocol{SCTP: &v1alpha2.ClusterNetworkPolicyProtocolSCTP{DestinationPort: port}}
		}
		return v1alpha2.ClusterNetworkPolicyProtocol{TCP: &v1alpha2.ClusterNetworkPolicyProtocolTCP{DestinationPort: port}}
	})
}

func (g *generator) clusterNetworkPolicy(name string, priority int32) *v1alpha2.ClusterNetworkPolicy {
	p := &v1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.Tier = one(g.Rand, []v1alpha2.Tier{v1alpha2.AdminTier, v1alpha2.BaselineTier})
	p.Spec.Priority, p.Spec.Subject = priority, g.clusterSubject()
	actions := []v1alpha2.ClusterNetworkPolicyRuleAction{v1alpha2.ClusterNetworkPolicyRuleActionAccept, v1alpha2.ClusterNetworkPolicyRuleActionDeny, v1alpha2.ClusterNetworkPolicyRuleActionPass}
	p.Spec.Ingress = some(g, 0, g.size.Rules, func() v1alpha2.ClusterNetworkPolicyIngressRule {
		return v1alpha2.ClusterNetworkPolicyIngressRule{Action: one(g.Rand, actions), From: some(g, 1, g.size.Peers, g.clusterIngressPeer), Protocols: g.clusterProtocols(true)}
	})
	p.Spec.Egress = some(g, 0, g.size.Rules, func() v1alpha2.ClusterNetworkPolicyEgressRule {
		r := v1alpha2.ClusterNetworkPolicyEgressRule{Action: one(g.Rand, actions), To: some(g, 1, g.size.Peers, g.clusterEgressPeer)}
		r.Protocols = g.clusterProtocols(!slices.ContainsFunc(r.To, func(p v1alpha2.ClusterNetworkPolicyEgressPeer) bool { return p.Nodes != nil || p.Networks != nil }))
		return r
	})
	return p
}
