package feed

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	v1 "github.com/heddle-net/heddle/crds/v1"

	"github.com/heddle-net/heddle/controller/state"
)

// groupsLimit is the number of security groups of a Pod that are looked at: each is port groups and ACLs, and any author of a Pod
// can name as many as an annotation holds.
const groupsLimit = 64

// withSecurityGroups adds the security groups that a Pod binds itself to. What is no name of a group is one that nobody can make:
// the Pod is denied everything by it.
func withSecurityGroups(obj *corev1.Pod, labels map[string]string) map[string]string {
	names := strings.Split(obj.Annotations[v1.AnnotationSecurityGroups], ",")
	for i, name := range names {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		if i >= groupsLimit || len(validation.IsDNS1123Subdomain(name)) > 0 {
			name = ""
		}
		if labels == nil {
			labels = make(map[string]string)
		}
		labels[state.SecurityGroupLabel(name)] = ""
	}
	return labels
}

// SecurityGroup converts a SecurityGroup.
func SecurityGroup(obj *v1.SecurityGroup) *state.SecurityGroup {
	g := &state.SecurityGroup{Name: obj.Name, Together: obj.Spec.AllowSameGroupTraffic, Tier: int(obj.Spec.Tier)}
	if g.Tier < 0 || g.Tier >= state.SecurityTiers {
		g.Invalid, g.Tier = append(g.Invalid, fmt.Sprintf("spec.tier: there is no tier %d; nothing is allowed", g.Tier)), 0
		g.Together = false
		return g
	}
	for i := range obj.Spec.IngressRules {
		addSecurityRule(g, state.Ingress, fmt.Sprintf("spec.ingressRules[%d]", i), &obj.Spec.IngressRules[i])
	}
	for i := range obj.Spec.EgressRules {
		addSecurityRule(g, state.Egress, fmt.Sprintf("spec.egressRules[%d]", i), &obj.Spec.EgressRules[i])
	}
	return g
}

var securityActions = map[v1.SecurityGroupPolicy]state.Action{
	v1.SecurityGroupAllow: state.Allow, v1.SecurityGroupDrop: state.Deny, v1.SecurityGroupPass: state.Pass,
}

// addSecurityRule adds a rule, if it can be read. One that allows is left out else; any other one drops all that it might.
func addSecurityRule(g *state.SecurityGroup, d state.Direction, field string, obj *v1.SecurityGroupRule) {
	action, known := securityActions[obj.Policy]
	rule, err := securityRule(obj)
	switch {
	case !known:
		err = cmp.Or(err, fmt.Errorf("unknown policy %q", obj.Policy))
	case action == state.Pass && g.Tier > 0:
		err = cmp.Or(err, fmt.Errorf("pass, where nothing comes behind"))
	}
	rule.Direction, rule.Action = d, action
	switch {
	case err == nil:
		g.Rules = append(g.Rules, rule)
	case known && action == state.Allow:
		g.Invalid = append(g.Invalid, fmt.Sprintf("%s: %v; it allows nothing", field, err))
	default:
		g.Invalid = append(g.Invalid, fmt.Sprintf("%s: %v; it drops everything", field, err))
		g.Rules = append(g.Rules, dropsAll(d, rule.Priority)...)
	}
}

// dropsAll is of both families, before all other rules if its priority cannot be read.
func dropsAll(d state.Direction, priority int) []state.SecurityRule {
	if priority < 1 || priority > lastPriority {
		priority = 1
	}
	all4, all6 := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")
	return []state.SecurityRule{
		{Direction: d, Priority: priority, Remote: all4, Action: state.Deny}, {Direction: d, Priority: priority, IPv6: true, Remote: all6, Action: state.Deny},
	}
}

// lastPriority is the weakest of rules.
const lastPriority = 16384

// securityRule reads all but the direction and the action. Beside an error it has the priority.
func securityRule(obj *v1.SecurityGroupRule) (r state.SecurityRule, err error) {
	r.Priority, r.IPv6 = int(obj.Priority), obj.IPVersion == v1.SecurityGroupIPv6
	r.Ports = state.PortSpan{First: uint16(obj.PortRangeMin), Last: uint16(obj.PortRangeMax)}
	r.SourcePorts = state.PortSpan{First: uint16(obj.SourcePortRangeMin), Last: uint16(obj.SourcePortRangeMax)}
	var known bool
	r.Protocol, known = securityProtocols[obj.Protocol]
	switch {
	case r.Priority < 1 || r.Priority > lastPriority:
		return r, fmt.Errorf("priority %d is not from 1 to %d", r.Priority, lastPriority)
	case !r.IPv6 && obj.IPVersion != v1.SecurityGroupIPv4:
		return r, fmt.Errorf("unknown ipVersion %q", obj.IPVersion)
	case !known:
		return r, fmt.Errorf("unknown protocol %q", obj.Protocol)
	}
	for _, span := range [][2]int32{{obj.PortRangeMin, obj.PortRangeMax}, {obj.SourcePortRangeMin, obj.SourcePortRangeMax}} {
		if err := checkSpan(r.Protocol, span[0], span[1]); err != nil {
			return r, err
		}
	}
	if r.Local, err = familyPrefix(obj.LocalAddress, r.IPv6); obj.LocalAddress != "" && err != nil {
		return r, fmt.Errorf("localAddress: %w", err)
	}
	return r, securityRemote(&r, obj)
}

// securityProtocols are as OVN writes them, but icmp, which has a name for each family.
var securityProtocols = map[v1.SecurityGroupProtocol]string{
	v1.SecurityGroupAll: "", v1.SecurityGroupICMP: "icmp", v1.SecurityGroupTCP: "tcp", v1.SecurityGroupUDP: "udp", v1.SecurityGroupSCTP: "sctp",
}

func checkSpan(protocol string, first, last int32) error {
	switch {
	case first == 0 && last == 0:
		return nil
	case first < 1 || last > 65535 || first > last:
		return fmt.Errorf("%d to %d is no range of ports", first, last)
	case protocol == "" || protocol == "icmp":
		return fmt.Errorf("ports without a protocol that has any")
	}
	return nil
}

func securityRemote(r *state.SecurityRule, obj *v1.SecurityGroupRule) (err error) {
	switch obj.RemoteType {
	case v1.SecurityGroupRemoteAddress:
		if r.Remote, err = familyPrefix(obj.RemoteAddress, r.IPv6); err != nil {
			return fmt.Errorf("remoteAddress: %w", err)
		}
		return nil
	case v1.SecurityGroupRemoteGroup:
		if r.Group = obj.RemoteSecurityGroup; len(validation.IsDNS1123Subdomain(r.Group)) > 0 {
			return fmt.Errorf("remoteSecurityGroup: %q is no name of a group", r.Group)
		}
		return nil
	}
	return fmt.Errorf("unknown remoteType %q", obj.RemoteType)
}

// familyPrefix reads an address or a CIDR of a family.
func familyPrefix(text string, v6 bool) (netip.Prefix, error) {
	prefix, err := prefixOf(text)
	if addr, single := netip.ParseAddr(text); single == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a CIDR", text)
	case prefix.Addr().Is4() == v6:
		return netip.Prefix{}, fmt.Errorf("%q is not of the family of ipVersion", text)
	}
	return prefix, nil
}
