package verdict

import (
	"fmt"
	"math/rand/v2"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Change makes the next cluster of a random one by a few things that happen: labels and addresses change, Pods and policies come, go
// and are replaced. The cluster itself is not changed.
func Change(r *rand.Rand, size Size, c *Cluster) *Cluster {
	g := &generator{Rand: r, size: size, c: c.clone()}
	g.chooseCIDRs()
	happenings := []func(){g.relabelPod, g.relabelPod, g.relabelNamespace, g.relabelNamespace, g.removePod, g.replacePod, g.addPod, g.finishPod, g.moveNode}
	for range 2 + r.IntN(4) {
		switch {
		case g.in(2):
			g.changePolicies()
		case g.in(3) && (size.SecurityGroups > 0 || size.Subnets):
			g.changeSecurity()
		default:
			one(r, happenings)()
		}
	}
	return g.c
}

// index is that of any element, -1 when there is none.
func index[T any](g *generator, list []T) int {
	if len(list) == 0 {
		return -1
	}
	return g.IntN(len(list))
}

func (g *generator) relabelPod() {
	if i := index(g, g.c.Pods); i >= 0 {
		g.c.Pods[i].Labels = g.labels(podLabels)
	}
}

func (g *generator) relabelNamespace() {
	if i := index(g, g.c.Namespaces); i >= 0 {
		ns := g.c.Namespaces[i]
		ns.Labels = g.labels(clusterLabels)
		ns.Labels[corev1.LabelMetadataName] = ns.Name
	}
}

func (g *generator) removePod() {
	if i := index(g, g.c.Pods); i >= 0 {
		g.c.Pods = slices.Delete(g.c.Pods, i, i+1)
	}
}

func (g *generator) finishPod() {
	if i := index(g, g.c.Pods); i >= 0 {
		g.c.Pods[i].Status.Phase = corev1.PodSucceeded
	}
}

// replacePod has another Pod of the same name, as a StatefulSet does: elsewhere, with another address and other ports.
func (g *generator) replacePod() {
	if i := index(g, g.c.Pods); i >= 0 {
		old := g.c.Pods[i]
		g.c.Pods[i] = g.pod(g.unused())
		g.c.Pods[i].Namespace, g.c.Pods[i].Name = old.Namespace, old.Name
	}
}

func (g *generator) addPod() {
	if len(g.c.Pods) < 2*g.size.Pods {
		n := g.unused()
		pod := g.pod(n)
		pod.Name = fmt.Sprintf("late%d", n)
		if g.c.pod(pod.Namespace+"/"+pod.Name) == nil { // one in the host network holds no number
			g.c.Pods = append(g.c.Pods, pod)
		}
	}
}

// unused is a number for a Pod whose address nobody has, nor the next one.
func (g *generator) unused() int {
	used := make(map[string]bool)
	for _, pod := range g.c.Pods {
		for _, addr := range podAddrs(pod) {
			used[addr.String()] = true
		}
	}
	for i := 0; ; i++ {
		if !slices.ContainsFunc(Subnets(), func(s Subnet) bool {
			return used[nth(s.CIDRs[0], firstPod+i).String()] || used[nth(s.CIDRs[0], firstPod+i+1).String()]
		}) {
			return i
		}
	}
}

// moveNode gives a node other addresses, and other labels.
func (g *generator) moveNode() {
	if i := index(g, g.c.Nodes); i >= 0 {
		name := g.c.Nodes[i].Name
		g.c.Nodes[i] = g.node(i + len(g.c.Nodes)*g.IntN(2))
		g.c.Nodes[i].Name = name
	}
}

// changeSecurity binds a Pod to other security groups, or replaces the Subnets' or the groups' rules.
func (g *generator) changeSecurity() {
	i := index(g, g.c.Pods)
	switch n := g.IntN(4); {
	case n == 0:
		g.c.Subnets = g.securedSubnets()
	case n == 1 && g.size.SecurityGroups > 0:
		g.c.SecurityGroups = nil
		g.securityGroups()
	case i >= 0:
		g.c.Pods[i].Annotations = g.bindings()
	}
}

// changePolicies lets a policy of some kind come, go, or become another one.
func (g *generator) changePolicies() {
	other := &generator{Rand: g.Rand, size: g.size, cidrs: g.cidrs, c: &Cluster{Namespaces: g.c.Namespaces}}
	other.policies()
	switch n := g.IntN(8); {
	case n == 0 && g.size.Baseline:
		g.c.BaselineAdminNetworkPolicies = other.c.BaselineAdminNetworkPolicies
	case n < 4 && g.size.AdminNetworkPolicies+g.size.ClusterNetworkPolicies > 0:
		g.c.AdminNetworkPolicies = other.c.AdminNetworkPolicies
		g.c.ClusterNetworkPolicies = other.c.ClusterNetworkPolicies // their priorities are different together
	default:
		g.changeNetworkPolicies()
	}
}

func (g *generator) changeNetworkPolicies() {
	next := g.networkPolicy(len(g.c.NetworkPolicies))
	i := index(g, g.c.NetworkPolicies)
	switch g.IntN(4) {
	case 0:
		if len(g.c.NetworkPolicies) < 2*g.size.NetworkPolicies {
			next.Name = "late" + next.Name
			g.c.NetworkPolicies = slices.DeleteFunc(g.c.NetworkPolicies, func(p *networkingv1.NetworkPolicy) bool {
				return p.Namespace == next.Namespace && p.Name == next.Name
			})
			g.c.NetworkPolicies = append(g.c.NetworkPolicies, next)
		}
	case 1:
		if i >= 0 {
			g.c.NetworkPolicies = slices.Delete(g.c.NetworkPolicies, i, i+1)
		}
	default:
		if i >= 0 {
			g.edit(&g.c.NetworkPolicies[i].Spec, next.Spec)
		}
	}
}

// edit replaces a part of a policy.
func (g *generator) edit(spec *networkingv1.NetworkPolicySpec, by networkingv1.NetworkPolicySpec) {
	switch g.IntN(4) {
	case 0:
		spec.PodSelector = by.PodSelector
	case 1:
		spec.Ingress = by.Ingress
	case 2:
		spec.Egress = by.Egress
	default:
		spec.PolicyTypes = by.PolicyTypes
	}
}
