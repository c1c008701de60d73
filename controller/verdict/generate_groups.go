package verdict

import (
	"fmt"
	"net/netip"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// missingGroup is one that Pods and rules name and that does not exist.
const missingGroup = "missing"

// securityGroups have rules of different priorities: which of equal ones decides is not said. Their tier 1 has the place of the Baseline tier,
// in no order with it, so that a cluster has one of them.
func (g *generator) securityGroups() {
	n := g.upTo(g.size.SecurityGroups)
	priorities := g.Perm(1000)
	for i := range n {
		group := &v1.SecurityGroup{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("sg%d", i)}}
		group.Spec.AllowSameGroupTraffic = g.in(2)
		if !g.size.Baseline && g.size.ClusterNetworkPolicies == 0 && g.in(3) {
			group.Spec.Tier = 1
		}
		rule := func() v1.SecurityGroupRule {
			r := g.groupRule(group.Spec.Tier)
			r.Priority, priorities = 1+int32(priorities[0]), priorities[1:]
			return r
		}
		group.Spec.IngressRules, group.Spec.EgressRules = some(g, 0, 2*g.size.Rules, rule), some(g, 0, 2*g.size.Rules, rule)
		g.c.SecurityGroups = append(g.c.SecurityGroups, group)
	}
}

func (g *generator) groupRule(tier int32) v1.SecurityGroupRule {
	cidr := g.cidr().Masked()
	r := v1.SecurityGroupRule{
		IPVersion: v1.SecurityGroupIPv4, RemoteType: v1.SecurityGroupRemoteAddress, RemoteAddress: addressOrCIDR(cidr),
		Protocol: one(g.Rand, []v1.SecurityGroupProtocol{v1.SecurityGroupAll, v1.SecurityGroupAll, v1.SecurityGroupICMP, v1.SecurityGroupTCP, v1.SecurityGroupUDP, v1.SecurityGroupSCTP}),
		Policy:   one(g.Rand, []v1.SecurityGroupPolicy{v1.SecurityGroupAllow, v1.SecurityGroupAllow, v1.SecurityGroupDrop}),
	}
	if tier == 0 && g.in(5) {
		r.Policy = v1.SecurityGroupPass
	}
	if !cidr.Addr().Is4() {
		r.IPVersion = v1.SecurityGroupIPv6
	}
	if g.in(3) {
		r.RemoteType, r.RemoteAddress, r.RemoteSecurityGroup = v1.SecurityGroupRemoteGroup, "", g.groupName()
		r.IPVersion = one(g.Rand, []v1.SecurityGroupIPVersion{v1.SecurityGroupIPv4, v1.SecurityGroupIPv6})
	}
	g.groupPorts(&r)
	return r
}

func (g *generator) groupPorts(r *v1.SecurityGroupRule) {
	if g.in(6) {
		local := one(g.Rand, one(g.Rand, Subnets()).CIDRs)
		if local.Addr().Is4() == (r.IPVersion == v1.SecurityGroupIPv4) {
			r.LocalAddress = netip.PrefixFrom(nth(local, firstPod), local.Bits()+4).Masked().String()
		}
	}
	if r.Protocol == v1.SecurityGroupAll || r.Protocol == v1.SecurityGroupICMP {
		return
	}
	first, last := g.portRange()
	switch g.IntN(4) {
	case 0:
		r.PortRangeMin, r.PortRangeMax = first, first
	case 1:
		r.PortRangeMin, r.PortRangeMax = first, last
	}
	if g.in(4) {
		first = one(g.Rand, []int32{1, SourcePort - 1, SourcePort, SourcePort + 1})
		r.SourcePortRangeMin, r.SourcePortRangeMax = first, one(g.Rand, []int32{first, first + 1, allPorts})
	}
}

// addressOrCIDR writes a range of one address as that.
func addressOrCIDR(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func (g *generator) groupName() string {
	if g.in(8) {
		return missingGroup
	}
	return fmt.Sprintf("sg%d", g.IntN(g.size.SecurityGroups))
}

// bindings are the annotations of a Pod, nil for most.
func (g *generator) bindings() map[string]string {
	if g.size.SecurityGroups == 0 || !g.in(3) {
		return nil
	}
	names := some(g, 1, 3, g.groupName)
	return map[string]string{v1.AnnotationSecurityGroups: strings.Join(names, ", ")}
}

// securedSubnets are those that are private or let their Pods reach each other.
func (g *generator) securedSubnets() []*v1.Subnet {
	var list []*v1.Subnet
	for _, s := range Subnets() {
		if !g.size.Subnets || !g.in(2) {
			continue
		}
		subnet := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: s.Name}}
		var texts []string
		for _, cidr := range s.CIDRs {
			texts = append(texts, cidr.String())
		}
		subnet.Spec.CIDRBlock = strings.Join(texts, ",")
		subnet.Spec.Private, subnet.Spec.AllowEWTraffic = !g.in(4), g.in(2)
		subnet.Spec.AllowSubnets = some(g, 0, 3, func() string { return g.cidr().Masked().String() })
		list = append(list, subnet)
	}
	return list
}
