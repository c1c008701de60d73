package feed

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/heddle-net/heddle/controller/state"
)

// behindAll is the priority of BaselineAdminNetworkPolicy, which has none: those of ClusterNetworkPolicies end with 1000.
const behindAll = 1001

// AdminNetworkPolicy converts an AdminNetworkPolicy.
func AdminNetworkPolicy(obj *v1alpha1.AdminNetworkPolicy) *state.ClusterPolicy {
	r := newClusterReader(obj.Name, false, obj.Spec.Priority)
	r.subject(subjectOf(obj.Spec.Subject))
	for i, rule := range obj.Spec.Ingress {
		r.rule(clusterRule{state.Ingress, i, string(rule.Action), all(rule.From, ingressPeerOf), portsOf(rule.Ports), "ports"})
	}
	for i, rule := range obj.Spec.Egress {
		r.rule(clusterRule{state.Egress, i, string(rule.Action), all(rule.To, egressPeerOf), portsOf(rule.Ports), "ports"})
	}
	return r.policy
}

// BaselineAdminNetworkPolicy converts a BaselineAdminNetworkPolicy.
func BaselineAdminNetworkPolicy(obj *v1alpha1.BaselineAdminNetworkPolicy) *state.ClusterPolicy {
	r := newClusterReader(obj.Name, true, behindAll)
	r.subject(subjectOf(obj.Spec.Subject))
	for i, rule := range obj.Spec.Ingress {
		r.rule(clusterRule{state.Ingress, i, string(rule.Action), all(rule.From, ingressPeerOf), portsOf(rule.Ports), "ports"})
	}
	for i, rule := range obj.Spec.Egress {
		r.rule(clusterRule{state.Egress, i, string(rule.Action), all(rule.To, baselinePeerOf), portsOf(rule.Ports), "ports"})
	}
	return r.policy
}

// ClusterNetworkPolicy converts a ClusterNetworkPolicy.
func ClusterNetworkPolicy(obj *v1alpha2.ClusterNetworkPolicy) *state.ClusterPolicy {
	r := newClusterReader(obj.Name, obj.Spec.Tier == v1alpha2.BaselineTier, obj.Spec.Priority)
	r.subject(obj.Spec.Subject)
	for i, rule := range obj.Spec.Ingress {
		r.rule(clusterRule{state.Ingress, i, string(rule.Action), all(rule.From, clusterPeerOf), all(rule.Protocols, protocolPorts), "protocols"})
	}
	for i, rule := range obj.Spec.Egress {
		r.rule(clusterRule{state.Egress, i, string(rule.Action), rule.To, all(rule.Protocols, protocolPorts), "protocols"})
	}
	return r.policy
}

// The older kinds are read as if they were ClusterNetworkPolicies. A field that one of them lacks stays empty.

func subjectOf(s v1alpha1.AdminNetworkPolicySubject) v1alpha2.ClusterNetworkPolicySubject {
	return v1alpha2.ClusterNetworkPolicySubject{Namespaces: s.Namespaces, Pods: (*v1alpha2.NamespacedPod)(s.Pods)}
}

func ingressPeerOf(p v1alpha1.AdminNetworkPolicyIngressPeer) v1alpha2.ClusterNetworkPolicyEgressPeer {
	return v1alpha2.ClusterNetworkPolicyEgressPeer{Namespaces: p.Namespaces, Pods: (*v1alpha2.NamespacedPod)(p.Pods)}
}

func egressPeerOf(p v1alpha1.AdminNetworkPolicyEgressPeer) v1alpha2.ClusterNetworkPolicyEgressPeer {
	return v1alpha2.ClusterNetworkPolicyEgressPeer{
		Namespaces: p.Namespaces, Pods: (*v1alpha2.NamespacedPod)(p.Pods), Nodes: p.Nodes, Networks: all(p.Networks, cidrOf),
		DomainNames: all(p.DomainNames, func(d v1alpha1.DomainName) v1alpha2.DomainName { return v1alpha2.DomainName(d) }),
	}
}

func baselinePeerOf(p v1alpha1.BaselineAdminNetworkPolicyEgressPeer) v1alpha2.ClusterNetworkPolicyEgressPeer {
	return v1alpha2.ClusterNetworkPolicyEgressPeer{
		Namespaces: p.Namespaces, Pods: (*v1alpha2.NamespacedPod)(p.Pods), Nodes: p.Nodes, Networks: all(p.Networks, cidrOf),
	}
}

func clusterPeerOf(p v1alpha2.ClusterNetworkPolicyIngressPeer) v1alpha2.ClusterNetworkPolicyEgressPeer {
	return v1alpha2.ClusterNetworkPolicyEgressPeer{Namespaces: p.Namespaces, Pods: p.Pods}
}

func cidrOf(c v1alpha1.CIDR) v1alpha2.CIDR { return v1alpha2.CIDR(c) }

// all converts a list; an empty one stays nil.
func all[A, B any](list []A, convert func(A) B) (converted []B) {
	for _, a := range list {
		converted = append(converted, convert(a))
	}
	return converted
}

// readPorts is one entry of a list of ports: some ranges, or why it cannot be read.
type readPorts struct {
	ranges []state.PortRange
	err    error
}

var transports = []string{"tcp", "udp", "sctp"}

func portsOf(list *[]v1alpha1.AdminNetworkPolicyPort) []readPorts {
	if list == nil {
		return nil
	}
	return all(*list, func(p v1alpha1.AdminNetworkPolicyPort) readPorts {
		switch {
		case p.PortNumber != nil && p.PortRange == nil && p.NamedPort == nil:
			return portsBetween(p.PortNumber.Protocol, p.PortNumber.Port, p.PortNumber.Port)
		case p.PortRange != nil && p.PortNumber == nil && p.NamedPort == nil:
			return portsBetween(p.PortRange.Protocol, p.PortRange.Start, p.PortRange.End)
		case p.NamedPort != nil && p.PortNumber == nil && p.PortRange == nil:
			return portsNamed(*p.NamedPort)
		}
		return readPorts{err: errOneOf}
	})
}

// errOneOf is about what the API server refuses unless its definition of the kind is another one.
var errOneOf = fmt.Errorf("not exactly one of the fields that are known is set")

func portsBetween(protocol corev1.Protocol, first, last int32) readPorts {
	name, ok := protocolOf(protocol)
	switch {
	case !ok:
		return readPorts{err: fmt.Errorf("unknown protocol %q", protocol)}
	case first < 1 || last > 65535 || first > last:
		return readPorts{err: fmt.Errorf("%d to %d is no range of ports", first, last)}
	}
	return readPorts{ranges: []state.PortRange{{Protocol: name, First: uint16(first), Last: uint16(last)}}}
}

// portsNamed is a name without a protocol: the container's port of that name says which.
func portsNamed(name string) (p readPorts) {
	if name == "" {
		return readPorts{err: fmt.Errorf("the name of the port is empty")}
	}
	for _, protocol := range transports {
		p.ranges = append(p.ranges, state.PortRange{Protocol: protocol, Name: name})
	}
	return p
}

func protocolPorts(p v1alpha2.ClusterNetworkPolicyProtocol) readPorts {
	var found []readPorts
	if p.TCP != nil {
		found = append(found, portsTo(corev1.ProtocolTCP, p.TCP.DestinationPort))
	}
	if p.UDP != nil {
		found = append(found, portsTo(corev1.ProtocolUDP, p.UDP.DestinationPort))
	}
	if p.SCTP != nil {
		found = append(found, portsTo(corev1.ProtocolSCTP, p.SCTP.DestinationPort))
	}
	if p.DestinationNamedPort != "" {
		found = append(found, portsNamed(p.DestinationNamedPort))
	}
	if len(found) != 1 {
		return readPorts{err: errOneOf}
	}
	return found[0]
}

// portsTo needs a field of the protocol that this version knows: the API server refuses a protocol without any, so that the one
// that is set is of a later version (MinProperties of ClusterNetworkPolicyProtocolTCP).
func portsTo(protocol corev1.Protocol, port *v1alpha2.Port) readPorts {
	switch {
	case port == nil:
		return readPorts{err: fmt.Errorf("%s without a destinationPort", protocol)}
	case port.Range != nil && port.Number == 0:
		return portsBetween(protocol, port.Range.Start, port.Range.End)
	case port.Range == nil && port.Number != 0:
		return portsBetween(protocol, port.Number, port.Number)
	}
	return readPorts{err: errOneOf}
}

// clusterReader notes in the policy what it cannot read.
type clusterReader struct {
	policy     *state.ClusterPolicy
	unreadable bool // the subject
}

func newClusterReader(name string, baseline bool, priority int32) *clusterReader {
	return &clusterReader{policy: &state.ClusterPolicy{Name: name, Baseline: baseline, Priority: int(priority)}}
}

func (r *clusterReader) invalid(field, format string, args ...any) {
	r.policy.Invalid = append(r.policy.Invalid, field+": "+fmt.Sprintf(format, args...))
}

// subject chooses by as much as can be read. Where that may be too many Pods, nothing but what the policy denies is in force.
func (r *clusterReader) subject(s v1alpha2.ClusterNetworkPolicySubject) {
	selector, err := podsOf(s.Namespaces, s.Pods)
	if err != nil {
		r.unreadable = true
		r.invalid("spec.subject", "%v; for the Pods that the rest of it chooses, only what the policy denies is in force", err)
	}
	r.policy.Pods = selector
}

// podsOf reads what chooses Pods: all of some Namespaces, or some. Neither chooses none.
func podsOf(namespaces *metav1.LabelSelector, pods *v1alpha2.NamespacedPod) (s state.Selector, err error) {
	switch {
	case namespaces != nil && pods == nil:
		s.Namespaces, err = Requirements(*namespaces)
		return s, err
	case namespaces == nil && pods != nil:
		var other error
		s.Namespaces, err = Requirements(pods.NamespaceSelector)
		s.Pods, other = Requirements(pods.PodSelector)
		if err == nil {
			err = other
		}
		return s, err
	}
	return state.Selector{Pods: []state.Requirement{{Key: "", Operator: state.In}}}, errOneOf
}

// clusterRule is a rule as the object has it.
type clusterRule struct {
	direction state.Direction
	number    int
	action    string
	peers     []v1alpha2.ClusterNetworkPolicyEgressPeer
	ports     []readPorts
	portField string
}

func (c *clusterRule) field() string { return fmt.Sprintf("spec.%s[%d]", c.direction, c.number) }

// actions are those of all kinds.
var actions = map[string]state.Action{"Allow": state.Allow, "Accept": state.Allow, "Deny": state.Deny, "Pass": state.Pass}

// rule adds a rule. The API says what becomes of one that is not understood, in whatever part of it: if it allows, it matches nothing,
// else it denies everything (ClusterNetworkPolicyEgressPeer).
func (r *clusterReader) rule(c clusterRule) {
	action, known := actions[c.action]
	rule := state.ClusterRule{Rule: state.Rule{Direction: c.direction, AnyPort: len(c.ports) == 0}, Action: action}
	if !known {
		r.invalid(c.field(), "unknown action %q", c.action)
	}
	complete := r.peers(&c, &rule)
	complete = r.ports(&c, &rule) && complete && known
	switch {
	case r.unreadable && action != state.Deny:
		return
	case !complete && known && action == state.Allow:
		r.invalid(c.field(), "the rule allows nothing, because it is not understood")
		return
	case !complete:
		r.invalid(c.field(), "the rule denies everything, because it is not understood")
		rule = state.ClusterRule{Rule: state.Rule{Direction: c.direction, Anybody: true, AnyPort: true}, Action: state.Deny}
	case len(rule.Peers)+len(rule.Blocks)+len(rule.Nodes)+len(rule.Domains) == 0 || !rule.AnyPort && len(rule.Ports) == 0:
		return
	}
	r.policy.Rules = append(r.policy.Rules, rule)
}

func (r *clusterReader) peers(c *clusterRule, rule *state.ClusterRule) (complete bool) {
	complete = true
	side := map[state.Direction]string{state.Ingress: "from", state.Egress: "to"}[c.direction]
	for i := range c.peers {
		if err := addPeer(rule, &c.peers[i]); err != nil {
			r.invalid(fmt.Sprintf("%s.%s[%d]", c.field(), side, i), "%v", err)
			complete = false
		}
	}
	return complete
}

// addPeer adds nothing if it fails.
func addPeer(rule *state.ClusterRule, p *v1alpha2.ClusterNetworkPolicyEgressPeer) error {
	switch set := fieldsOf(p); {
	case set != 1:
		return errOneOf
	case p.Nodes != nil:
		nodes, err := Requirements(*p.Nodes)
		if err == nil {
			rule.Nodes = append(rule.Nodes, nodes)
		}
		return err
	case p.Networks != nil:
		return addNetworks(rule, p.Networks)
	case p.DomainNames != nil && rule.Action != state.Allow:
		return fmt.Errorf("domainNames can only be allowed")
	case p.DomainNames != nil:
		rule.Domains = append(rule.Domains, all(p.DomainNames, func(d v1alpha2.DomainName) string { return string(d) })...)
		return nil
	}
	selector, err := podsOf(p.Namespaces, p.Pods)
	if err == nil {
		rule.Peers = append(rule.Peers, selector)
	}
	return err
}

func fieldsOf(p *v1alpha2.ClusterNetworkPolicyEgressPeer) (n int) {
	for _, set := range []bool{p.Namespaces != nil, p.Pods != nil, p.Nodes != nil, len(p.Networks) > 0, len(p.DomainNames) > 0} {
		if set {
			n++
		}
	}
	return n
}

func addNetworks(rule *state.ClusterRule, networks []v1alpha2.CIDR) error {
	blocks := make([]state.Block, len(networks))
	for i, text := range networks {
		var err error
		if blocks[i].Prefix, err = prefixOf(string(text)); err != nil {
			return fmt.Errorf("networks: %w", err)
		}
	}
	rule.Blocks = append(rule.Blocks, blocks...)
	return nil
}

func (r *clusterReader) ports(c *clusterRule, rule *state.ClusterRule) (complete bool) {
	complete = true
	for i, p := range c.ports {
		if p.err != nil {
			r.invalid(fmt.Sprintf("%s.%s[%d]", c.field(), c.portField, i), "%v", p.err)
			complete = false
		}
		rule.Ports = append(rule.Ports, p.ranges...)
	}
	return complete
}
