package verdict

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// SourcePort is the port that every packet comes from, which rules of security groups can name.
const SourcePort = 40000

// groupsOf are the names of the security groups that a Pod binds itself to.
func groupsOf(pod *corev1.Pod) []string {
	var names []string
	for name := range strings.SplitSeq(pod.Annotations[v1.AnnotationSecurityGroups], ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// groupRule is a rule with the group that it is of.
type groupRule struct {
	v1.SecurityGroupRule
	group string
}

// securityTier0 is final for a Pod with a group of tier 0, or one that does not exist, unless a rule passes.
func (c *Cluster) securityTier0(t *traffic) (d Decision, final, passed bool) {
	decides := slices.ContainsFunc(groupsOf(t.local.pod), func(name string) bool {
		group := named(c.SecurityGroups, "", name)
		return group == nil || group.Spec.Tier == 0
	})
	if !decides {
		return d, false, false
	}
	d, passed = c.decideByGroups(0, t)
	return d, !passed, passed
}

// securityTier1 is final for a Pod with any group: behind it, too, all else is dropped.
func (c *Cluster) securityTier1(t *traffic) (Decision, bool) {
	if len(groupsOf(t.local.pod)) == 0 {
		return Decision{}, false
	}
	d, _ := c.decideByGroups(1, t)
	return d, true
}

// decideByGroups asks the rules of all groups that the Pod has in a tier, the smallest number first; then who is in the same group.
func (c *Cluster) decideByGroups(tier int32, t *traffic) (d Decision, passed bool) {
	rules, together := c.groupRules(tier, t)
	for _, r := range rules {
		if !c.groupRuleMatches(&r, t) {
			continue
		}
		d = Decision{Allowed: r.Policy == v1.SecurityGroupAllow, Policy: "SecurityGroup " + r.group, Rule: fmt.Sprintf("%s priority %d", t.direction, r.Priority)}
		return d, r.Policy == v1.SecurityGroupPass
	}
	for _, name := range together {
		if t.remote.pod != nil && slices.Contains(groupsOf(t.remote.pod), name) {
			return Decision{Allowed: true, Policy: "SecurityGroup " + name, Rule: "the same group"}, false
		}
	}
	return Decision{Policy: "SecurityGroup " + strings.Join(groupsOf(t.local.pod), ",")}, false
}

func (c *Cluster) groupRules(tier int32, t *traffic) (rules []groupRule, together []string) {
	for _, name := range groupsOf(t.local.pod) {
		group := named(c.SecurityGroups, "", name)
		if group == nil || group.Spec.Tier != tier {
			continue
		}
		list := map[string][]v1.SecurityGroupRule{"ingress": group.Spec.IngressRules, "egress": group.Spec.EgressRules}[t.direction]
		rules = append(rules, each(list, func(r *v1.SecurityGroupRule) groupRule { return groupRule{*r, name} })...)
		if group.Spec.AllowSameGroupTraffic {
			together = append(together, name)
		}
	}
	slices.SortStableFunc(rules, func(a, b groupRule) int { return cmp.Compare(a.Priority, b.Priority) })
	return rules, together
}

func (c *Cluster) groupRuleMatches(r *groupRule, t *traffic) bool {
	family := map[v1.SecurityGroupIPVersion]corev1.IPFamily{v1.SecurityGroupIPv4: corev1.IPv4Protocol, v1.SecurityGroupIPv6: corev1.IPv6Protocol}[r.IPVersion]
	return familyOf(t.remote.addr) == family && (r.Protocol == v1.SecurityGroupAll || strings.EqualFold(string(r.Protocol), string(t.protocol))) &&
		(r.LocalAddress == "" || inRange(r.LocalAddress, t.local.addr)) &&
		between(t.port, r.PortRangeMin, r.PortRangeMax) && between(SourcePort, r.SourcePortRangeMin, r.SourcePortRangeMax) && c.isGroupRemote(r, t)
}

// isGroupRemote takes a node for where its object shows it, too. A group that does not exist is nobody.
func (c *Cluster) isGroupRemote(r *groupRule, t *traffic) bool {
	if r.RemoteType == v1.SecurityGroupRemoteGroup {
		return named(c.SecurityGroups, "", r.RemoteSecurityGroup) != nil && t.remote.pod != nil && slices.Contains(groupsOf(t.remote.pod), r.RemoteSecurityGroup)
	}
	if t.direction == "ingress" && t.remote.node != nil {
		if shown, ok := t.remote.by(nodeAddrs(t.remote.node), familyOf(t.remote.addr)); ok && inRange(r.RemoteAddress, shown.addr) {
			return true
		}
	}
	return inRange(r.RemoteAddress, t.remote.addr)
}

// between tells whether a port is in a range; none is every port.
func between(port, first, last int32) bool { return last == 0 || first <= port && port <= last }

// inRange is about an address or a CIDR.
func inRange(text string, addr netip.Addr) bool {
	single, err := netip.ParseAddr(text)
	return err == nil && single == addr || inCIDR(text, addr)
}
