package feed

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// NetworkPolicy converts a NetworkPolicy. What cannot be read in it allows nothing, and isolates as much as it might mean.
func NetworkPolicy(obj *networkingv1.NetworkPolicy) *state.NetworkPolicy {
	p := &state.NetworkPolicy{Namespace: obj.Namespace, Name: obj.Name}
	r := policyReader{p}
	if !r.forUs(obj.Annotations[v1.AnnotationPolicyFor]) {
		return p
	}
	p.Lax = r.lax(obj.Annotations[v1.AnnotationPolicyEnforcement])
	p.Log = r.log(obj.Annotations)
	selector, readable := r.podSelector(obj.Spec.PodSelector)
	p.Pods = selector
	p.Isolates = r.isolates(&obj.Spec)
	if !readable {
		return p // the Pods that rules are for are not known
	}
	if p.Isolates[state.Ingress] {
		for i, rule := range obj.Spec.Ingress {
			r.rule(state.Ingress, fmt.Sprintf("spec.ingress[%d]", i), "from", rule.From, rule.Ports)
		}
	}
	if p.Isolates[state.Egress] {
		for i, rule := range obj.Spec.Egress {
			r.rule(state.Egress, fmt.Sprintf("spec.egress[%d]", i), "to", rule.To, rule.Ports)
		}
	}
	return p
}

// forUs reads which networks a policy is for: all of them unless it lists some. Heddle's own is "ovn", others are namespace/name. What
// is neither may mean ours.
func (r policyReader) forUs(networks string) (ours bool) {
	if networks == "" {
		return true
	}
	for name := range strings.SplitSeq(networks, ",") {
		name = strings.TrimSpace(name)
		switch {
		case name == v1.ProviderOVN:
			ours = true
		case strings.Contains(name, "/"):
			r.invalid("metadata.annotations["+v1.AnnotationPolicyFor+"]", "the network %q is not supported yet; there the policy is not in force", name)
		default:
			r.invalid("metadata.annotations["+v1.AnnotationPolicyFor+"]", "%q is neither ovn nor namespace/name; it is taken for ovn", name)
			ours = true
		}
	}
	return ours
}

// lax reads how much is isolated: all that may be meant when it cannot be read.
func (r policyReader) lax(enforcement string) bool {
	switch enforcement {
	case "lax":
		return true
	case "", "standard":
	default:
		r.invalid("metadata.annotations["+v1.AnnotationPolicyEnforcement+"]", "%q is neither standard nor lax; it is taken for standard", enforcement)
	}
	return false
}

// log reads what is logged: of what is dropped and nothing else, unless the actions are listed. What cannot be read is not logged.
func (r policyReader) log(annotations map[string]string) (log state.Log) {
	if annotations[v1.AnnotationLog] != v1.AnnotationTrue {
		return log
	}
	for action := range strings.SplitSeq(cmp.Or(annotations[v1.AnnotationLogActions], "drop"), ",") {
		switch strings.TrimSpace(action) {
		case "drop":
			log.Dropped = true
		case "allow":
			log.Allowed = true
		default:
			r.invalid("metadata.annotations["+v1.AnnotationLogActions+"]", "%q is neither allow nor drop", action)
		}
	}
	if text := annotations[v1.AnnotationLogRate]; text != "" {
		rate, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			r.invalid("metadata.annotations["+v1.AnnotationLogRate+"]", "%q is no number of messages in a second; there is no limit", text)
		}
		log.Rate = int(rate)
	}
	return log
}

// policyReader notes in the policy what it cannot read.
type policyReader struct{ policy *state.NetworkPolicy }

func (r policyReader) invalid(field, format string, args ...any) {
	r.policy.Invalid = append(r.policy.Invalid, field+": "+fmt.Sprintf(format, args...))
}

// podSelector chooses every Pod of the Namespace when it cannot be read.
func (r policyReader) podSelector(selector metav1.LabelSelector) (pods state.Selector, readable bool) {
	requirements, err := Requirements(selector)
	if err != nil {
		r.invalid("spec.podSelector", "%v; every Pod of the Namespace is isolated, and nothing is allowed", err)
	}
	return state.Selector{Namespace: r.policy.Namespace, Pods: requirements}, err == nil
}

// isolates reads policyTypes. The API server fills them in; without them a policy is for ingress, and for egress if it has
// rules for it (NetworkPolicySpec).
func (r policyReader) isolates(spec *networkingv1.NetworkPolicySpec) (isolates [state.Directions]bool) {
	if len(spec.PolicyTypes) == 0 {
		return [state.Directions]bool{state.Ingress: true, state.Egress: len(spec.Egress) > 0}
	}
	for _, t := range spec.PolicyTypes {
		switch t {
		case networkingv1.PolicyTypeIngress:
			isolates[state.Ingress] = true
		case networkingv1.PolicyTypeEgress:
			isolates[state.Egress] = true
		default:
			r.invalid("spec.policyTypes", "unknown type %q; the Pods are isolated in both directions", t)
			isolates = [state.Directions]bool{true, true}
		}
	}
	return isolates
}

// rule adds a rule, without what cannot be read in it. Where nothing is left of a list that was not empty, the rule allows
// nothing: only an empty list means everything.
func (r policyReader) rule(direction state.Direction, field, side string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
	rule := state.Rule{Direction: direction, Anybody: len(peers) == 0, AnyPort: len(ports) == 0}
	for i := range peers {
		r.peer(&rule, fmt.Sprintf("%s.%s[%d]", field, side, i), &peers[i])
	}
	for i := range ports {
		if port, err := portRange(&ports[i]); err != nil {
			r.invalid(fmt.Sprintf("%s.ports[%d]", field, i), "%v", err)
		} else {
			rule.Ports = append(rule.Ports, port)
		}
	}
	if (rule.Anybody || len(rule.Peers)+len(rule.Blocks) > 0) && (rule.AnyPort || len(rule.Ports) > 0) {
		r.policy.Rules = append(r.policy.Rules, rule)
	}
}

// peer reads one entry of from or to (NetworkPolicyPeer): a block of addresses, or Pods by their labels, by those of their
// Namespace, or by both. Without a selector for Namespaces it is the policy's own.
func (r policyReader) peer(rule *state.Rule, field string, peer *networkingv1.NetworkPolicyPeer) {
	switch {
	case peer.IPBlock != nil && (peer.PodSelector != nil || peer.NamespaceSelector != nil):
		r.invalid(field, "an ipBlock beside a selector")
	case peer.IPBlock != nil:
		if block, err := blockOf(peer.IPBlock); err != nil {
			r.invalid(field+".ipBlock", "%v", err)
		} else {
			rule.Blocks = append(rule.Blocks, block)
		}
	case peer.PodSelector == nil && peer.NamespaceSelector == nil:
		r.invalid(field, "neither an ipBlock nor a selector")
	default:
		if selector, err := peerSelector(r.policy.Namespace, peer); err != nil {
			r.invalid(field, "%v", err)
		} else {
			rule.Peers = append(rule.Peers, selector)
		}
	}
}

func peerSelector(namespace string, peer *networkingv1.NetworkPolicyPeer) (s state.Selector, err error) {
	if peer.PodSelector != nil {
		if s.Pods, err = Requirements(*peer.PodSelector); err != nil {
			return s, fmt.Errorf("podSelector: %w", err)
		}
	}
	if peer.NamespaceSelector == nil {
		s.Namespace = namespace
		return s, nil
	}
	if s.Namespaces, err = Requirements(*peer.NamespaceSelector); err != nil {
		return s, fmt.Errorf("namespaceSelector: %w", err)
	}
	return s, nil
}

// blockOf fails when any of it cannot be read: without one of its exceptions it would allow too much.
func blockOf(obj *networkingv1.IPBlock) (block state.Block, err error) {
	if block.Prefix, err = prefixOf(obj.CIDR); err != nil {
		return block, err
	}
	for _, text := range obj.Except {
		except, err := prefixOf(text)
		if err != nil {
			return block, fmt.Errorf("except: %w", err)
		}
		block.Except = append(block.Except, except)
	}
	slices.SortFunc(block.Except, netip.Prefix.Compare)
	return block, nil
}

// prefixOf reads a CIDR. Kubernetes takes one with bits set behind the length; they mean nothing. An IPv4 range that is
// written as an IPv6 one is read as IPv4.
func prefixOf(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, fmt.Errorf("%q is no CIDR", text)
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < 96 {
			return prefix, fmt.Errorf("%q is neither an IPv4 nor an IPv6 range", text)
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

// portRange reads a NetworkPolicyPort: TCP when no protocol is said, all ports when none is.
func portRange(obj *networkingv1.NetworkPolicyPort) (p state.PortRange, err error) {
	var ok bool
	var protocol corev1.Protocol
	if obj.Protocol != nil {
		protocol = *obj.Protocol
	}
	if p.Protocol, ok = protocolOf(protocol); !ok {
		return p, fmt.Errorf("unknown protocol %q", protocol)
	}
	switch {
	case obj.Port == nil && obj.EndPort == nil:
		return p, nil
	case obj.Port == nil:
		return p, fmt.Errorf("endPort without port")
	case obj.Port.Type == intstr.String && obj.EndPort != nil:
		return p, fmt.Errorf("endPort with the name of a port")
	case obj.Port.Type == intstr.String && obj.Port.StrVal == "":
		return p, fmt.Errorf("the name of the port is empty")
	case obj.Port.Type == intstr.String:
		p.Name = obj.Port.StrVal
		return p, nil
	}
	first, last := obj.Port.IntVal, obj.Port.IntVal
	if obj.EndPort != nil {
		last = *obj.EndPort
	}
	if first < 1 || last > 65535 || first > last {
		return p, fmt.Errorf("%d to %d is no range of ports", first, last)
	}
	p.First, p.Last = uint16(first), uint16(last)
	return p, nil
}
