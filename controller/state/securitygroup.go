package state

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/heddle-net/heddle/ovs/nb"
)

// SecurityGroup says what reaches Pods that bind themselves to it, and what they reach; nothing else does.
type SecurityGroup struct {
	Name string
	// Tier is 0, or 1 for a group that decides behind those of tier 0 and behind NetworkPolicies.
	Tier int
	// Together lets the Pods of the group reach each other.
	Together bool
	Rules    []SecurityRule
	// Invalid says what could not be read. It allows nothing, and drops what it might.
	Invalid []string
}

func (g *SecurityGroup) equal(o *SecurityGroup) bool { return reflect.DeepEqual(g, o) }

// SecurityRule decides about some traffic of one family.
type SecurityRule struct {
	Direction Direction
	Priority  int // 1 to 16384; the smallest that matches decides
	IPv6      bool
	// Group names the security group of the other side; when it is empty, Remote has its addresses.
	Group  string
	Remote netip.Prefix
	// Local is on the side of the Pod; the zero Prefix is any address.
	Local netip.Prefix
	// Protocol is "tcp", "udp", "sctp" or "icmp"; empty for all.
	Protocol           string
	Ports, SourcePorts PortSpan
	Action             Action
}

// PortSpan is ports from First to Last; the zero one is all.
type PortSpan struct{ First, Last uint16 }

// SecurityTiers is the number of tiers of security groups.
const SecurityTiers = 2

// Which groups a Pod has bound itself to is kept as labels that no object can have (two slashes), as named ports are.
const securityGroupPrefix = "securitygroup//"

// SecurityGroupLabel is the key of a Pod's label for a security group. The empty name is no group's: it stands for what is no name.
func SecurityGroupLabel(name string) string { return securityGroupPrefix + name }

// SecurityGroupPods chooses the Pods of a security group, whether it exists or not.
func SecurityGroupPods(name string) Selector {
	return Selector{Pods: []Requirement{{Key: SecurityGroupLabel(name), Operator: Exists}}}
}

// SecurityGroups lists the names of the security groups that a Pod has bound itself to.
func (p *Pod) SecurityGroups() (names []string) {
	for key := range p.Labels.All() {
		if name, ok := strings.CutPrefix(key, securityGroupPrefix); ok {
			names = append(names, name)
		}
	}
	return names
}

// SecurityGroup returns the security group of that name, nil when there is none.
func (v *View) SecurityGroup(name string) *SecurityGroup { return v.store.SecurityGroups.get(v, name) }

// SecurityGroupTier returns the tier of the security group of that name; ok is false when there is none. The read changes with
// these alone: a rule is no matter of all the Pods of its group.
func (v *View) SecurityGroupTier(name string) (tier int, ok bool) {
	v.record(read{securityTiers, 0, name})
	if g := v.store.SecurityGroups.rows[name]; g != nil {
		return g.Tier, true
	}
	return 0, false
}

func (s *Store) securityGroupMoved(name string, old, now *SecurityGroup) []nb.Owner {
	if old != nil && now != nil && old.Tier == now.Tier {
		return nil
	}
	readers := make(map[nb.Owner]bool)
	s.readersOf(read{securityTiers, 0, name}, readers)
	return slices.Collect(maps.Keys(readers))
}

// Deny drops whatever no rule in a tier of security groups lets through to or from the Pods that a selector chooses. It holds for as
// long as some owner's last compilation has asked.
func (v *View) Deny(selector Selector, tier int) {
	v.Guard(selector)
	v.record(read{groupSets, uint8(denied) + uint8(tier), selector.canonical().String()})
}

// Denied lists the tiers in which somebody has asked for that.
func (v *View) Denied(key string) (tiers []int) {
	g := v.store.groups.byKey[key]
	for tier := range SecurityTiers {
		if g != nil && g.asked[denied+SetKind(tier)] {
			tiers = append(tiers, tier)
		}
	}
	return tiers
}
