package state

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// SwitchLBRule is a load balancer of its own, with addresses that its author chose.
type SwitchLBRule struct {
	Name string
	UID  string
	// Vpc is the VPC whose Pods it serves.
	Vpc string
	// Service, namespace/name, lists the endpoints.
	Service  string
	VIPs     []netip.Addr
	Ports    []ServicePort
	Affinity bool
	// Checked says that endpoints are asked whether they serve.
	Checked bool
	// Created orders rules, and Services, that claim the same. Creation times have a resolution of one second.
	Created time.Time
	// Invalid says what could not be read in the object.
	Invalid string
}

func (r *SwitchLBRule) equal(o *SwitchLBRule) bool {
	return r.Name == o.Name && r.UID == o.UID && r.Vpc == o.Vpc && r.Service == o.Service && r.Affinity == o.Affinity && r.Checked == o.Checked &&
		r.Created.Equal(o.Created) && r.Invalid == o.Invalid && slices.Equal(r.VIPs, o.VIPs) && slices.Equal(r.Ports, o.Ports)
}

// Older tells which of two rules keeps what both claim.
func (r *SwitchLBRule) Older(o *SwitchLBRule) bool {
	if r.Created.Equal(o.Created) {
		return r.Name < o.Name
	}
	return r.Created.Before(o.Created)
}

// RuleService is a Service that belongs to a rule, which made it to have its endpoints listed.
type RuleService struct {
	RuleUID string
}

func (s *RuleService) equal(o *RuleService) bool { return *s == *o }

// VIPName is the name of the IP object that keeps an address of a Subnet for rules. It has no dot, as those of Pods have.
func VIPName(vip netip.Addr) string {
	if vip.Is4() {
		return vipPrefix + strings.ReplaceAll(vip.String(), ".", "-")
	}
	return vipPrefix + strings.ReplaceAll(vip.StringExpanded(), ":", "-")
}

// ParseVIPName is the inverse of VIPName.
func ParseVIPName(name string) (vip netip.Addr, ok bool) {
	text, ok := strings.CutPrefix(name, vipPrefix)
	if !ok {
		return vip, false
	}
	for _, separator := range []string{".", ":"} {
		vip, err := netip.ParseAddr(strings.ReplaceAll(text, "-", separator))
		if err == nil && VIPName(vip) == name {
			return vip, true
		}
	}
	return vip, false
}

// HealthCheckName is the name of the IP object with the addresses from which OVN asks the endpoints in a Subnet.
func HealthCheckName(subnet string) string { return healthCheckPrefix + subnet }

// ParseHealthCheckName is the inverse of HealthCheckName.
func ParseHealthCheckName(name string) (subnet string, ok bool) {
	subnet, ok = strings.CutPrefix(name, healthCheckPrefix)
	return subnet, ok && subnet != ""
}

const vipPrefix, healthCheckPrefix = "vip-", "health-check-"

// addSwitchLBRules makes what is read for rules.
func (s *Store) addSwitchLBRules() {
	s.SwitchLBRules = newTable(s, switchLBRules, KindSwitchLBRule, (*SwitchLBRule).equal, func(*SwitchLBRule) string { return "" })
	s.SwitchLBRules.indexByAll(func(r *SwitchLBRule) []string { return texts(r.VIPs) })
	s.RuleServices = newTable(s, ruleServices, "", (*RuleService).equal)
	s.IPs.indexByAll(func(p *IP) []string { return texts(p.IPs) })
	s.IPs.indexByAll(func(p *IP) []string {
		if _, ok := ParseVIPName(p.Name); ok {
			return []string{p.Subnet}
		}
		return nil
	})
}

func texts(addrs []netip.Addr) []string {
	list := make([]string, len(addrs))
	for i, addr := range addrs {
		list[i] = addr.String()
	}
	return list
}

// SwitchLBRule returns the rule of that name, nil when there is none.
func (v *View) SwitchLBRule(name string) *SwitchLBRule { return v.store.SwitchLBRules.get(v, name) }

// SwitchLBRules lists all rules by name.
func (v *View) SwitchLBRules() []*SwitchLBRule { return v.store.SwitchLBRules.by(v, 0, "") }

// SwitchLBRulesAt lists the rules with that address.
func (v *View) SwitchLBRulesAt(vip netip.Addr) []*SwitchLBRule {
	return v.store.SwitchLBRules.by(v, 1, vip.String())
}

// RuleService returns the Service with that namespace/name, nil when there is none, or it is no rule's.
func (v *View) RuleService(key string) *RuleService { return v.store.RuleServices.get(v, key) }

// ServicesAt lists the Services with that address.
func (v *View) ServicesAt(vip netip.Addr) []*Service { return v.store.Services.by(v, 1, vip.String()) }

// IPsAt lists the IP objects with that address: one, unless it is disputed.
func (v *View) IPsAt(addr netip.Addr) []*IP { return v.store.IPs.by(v, 0, addr.String()) }

// VIPsIn lists the IP objects that keep addresses of a Subnet for rules.
func (v *View) VIPsIn(subnet string) []*IP { return v.store.IPs.by(v, 1, subnet) }
