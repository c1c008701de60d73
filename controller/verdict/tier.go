package verdict

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// What the cluster-wide kinds have in common: policies in an order, rules in an order, and the first rule that matches decides.

type action string

const (
	allow action = "Allow"
	deny  action = "Deny"
	pass  action = "Pass"
)

// ordered is a policy of a cluster-wide kind, in one direction.
type ordered struct {
	name     string
	priority int32
	subject  func(end) bool // nil when no field is set: then nobody
	rules    []rule
}

// rule matches what any of its peers and any of its ports match; no ports restrict nothing. A peer or a port that is nil has
// no field that we know.
type rule struct {
	name   string
	action action
	peers  []func(remote end) bool
	ports  []func(*traffic) bool
}

// orderedTier is final when a rule allows or denies. A rule that passes ends the tier.
func (c *Cluster) orderedTier(policies []ordered, t *traffic) (Decision, bool) {
	slices.SortStableFunc(policies, func(a, b ordered) int { return cmp.Compare(a.priority, b.priority) })
	for _, policy := range policies {
		if policy.subject == nil || !policy.subject(t.local) {
			continue
		}
		for i, r := range policy.rules {
			what, matches := r.apply(t)
			if !matches {
				continue
			}
			said := fmt.Sprintf("%s rule %d %q (%s)", t.direction, i, r.name, r.action)
			return Decision{Allowed: what == allow, Policy: policy.name, Rule: said}, what != pass
		}
	}
	return Decision{}, false
}

// apply fails closed as the API says it: with a peer that we do not know, a rule that allows matches nothing, and any other
// is "Deny all".
func (r *rule) apply(t *traffic) (action, bool) {
	peer, port := false, len(r.ports) == 0
	for _, is := range r.peers {
		if is == nil {
			return deny, r.action != allow
		}
		peer = peer || is(t.remote)
	}
	for _, is := range r.ports {
		if is == nil {
			return deny, r.action != allow
		}
		port = port || is(t)
	}
	return r.action, peer && port
}

// podsOf are Pods as all kinds select them, by their Namespaces or by both; nil when neither field is set.
func (c *Cluster) podsOf(namespaces *metav1.LabelSelector, pods *v1alpha2.NamespacedPod) func(end) bool {
	switch {
	case namespaces != nil:
		return func(e end) bool { return c.selectsPod(namespaces, &metav1.LabelSelector{}, e.pod) }
	case pods != nil:
		return func(e end) bool { return c.selectsPod(&pods.NamespaceSelector, &pods.PodSelector, e.pod) }
	}
	return nil
}

// nodesOf match "on the IPs present in the node.Status.Addresses field".
func (c *Cluster) nodesOf(selector *metav1.LabelSelector) func(end) bool {
	return func(e end) bool {
		return slices.ContainsFunc(c.Nodes, func(node *corev1.Node) bool {
			return selects(selector, node.Labels) && slices.Contains(nodeAddrs(node), e.addr)
		})
	}
}

// peerOf is a peer of any kind; domainNames are no field that we know.
func peerOf[CIDR ~string](c *Cluster, namespaces *metav1.LabelSelector, pods *v1alpha2.NamespacedPod, nodes *metav1.LabelSelector, networks []CIDR) func(end) bool {
	switch {
	case nodes != nil:
		return c.nodesOf(nodes)
	case len(networks) > 0:
		return func(e end) bool {
			return slices.ContainsFunc(networks, func(cidr CIDR) bool { return inCIDR(string(cidr), e.addr) })
		}
	}
	return c.podsOf(namespaces, pods)
}

func numberedPort(protocol corev1.Protocol, first, last int32) func(*traffic) bool {
	return func(t *traffic) bool { return t.numbered(protocol, first, last) }
}

func namedPort(name string) func(*traffic) bool {
	return func(t *traffic) bool { return t.namedPort(name) }
}

// each converts a list.
func each[From, To any](list []From, convert func(*From) To) []To {
	result := make([]To, len(list))
	for i := range list {
		result[i] = convert(&list[i])
	}
	return result
}
