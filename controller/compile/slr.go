package compile

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// slr wants of a SwitchLBRule what service wants of a Service, and that its endpoints are asked whether they serve. Nothing is
// served before the rule has its Service, and its addresses for itself.
func slr(v *state.View, name string, out *Output) {
	obj := v.SwitchLBRule(name)
	if obj == nil {
		return
	}
	out.Problems = ruleProblems(v, obj)
	if s := v.RuleService(obj.Service); len(out.Problems) > 0 || s == nil || s.RuleUID != obj.UID || !vipsKept(v, obj) {
		return
	}
	list, as := v.EndpointSlicesOf(obj.Service), &state.Service{VIPs: obj.VIPs, Ports: obj.Ports, Affinity: obj.Affinity}
	for _, protocol := range []string{db.LoadBalancerProtocolTCP, db.LoadBalancerProtocolUDP, db.LoadBalancerProtocolSCTP} {
		vips := frontendsOf(as, list, protocol, &near{none: true}, nil).alike
		if len(vips) == 0 {
			continue
		}
		lb := &db.LoadBalancer{
			Name: "slr-" + name + ":" + protocol, Protocol: &protocol, Vips: vips, Options: loadBalancerOptions(protocol),
			SelectionFields: selectionFields(as),
		}
		if obj.Checked && protocol != db.LoadBalancerProtocolSCTP { // OVN asks by TCP and UDP (ovn-sb(5), Service_Monitor protocol)
			lb.IPPortMappings = checkSources(v, list)
		}
		out.Row(nb.Row{ID: lb.Name, Model: lb, In: []nb.Edge{{Parent: balancers(obj.Vpc), Column: "load_balancer"}}})
		checks(lb, out)
	}
}

// checkOptions (ovn-nb(5), Load_Balancer_Health_Check options): an endpoint that refuses is out after 4 s, one that is silent after
// 10 s, and back after 4 s.
var checkOptions = map[string]string{"interval": "2", "timeout": "3", "success_count": "2", "failure_count": "2"}

// checks asks the endpoints behind each address and port, those in ip_port_mappings.
func checks(lb *db.LoadBalancer, out *Output) {
	if len(lb.IPPortMappings) == 0 {
		return
	}
	for _, vip := range slices.Sorted(maps.Keys(lb.Vips)) {
		out.Row(nb.Row{
			ID:    lb.Name + " " + vip,
			Model: &db.LoadBalancerHealthCheck{Vip: vip, Options: checkOptions},
			In:    []nb.Edge{{Parent: nb.Ref{Table: db.LoadBalancerTable, ID: lb.Name}, Column: "health_check"}},
		})
	}
}

// checkSources says by which port each endpoint is asked, and from which address (ovn-nb(5), Load_Balancer ip_port_mappings). Those
// that are no Pods' cannot be asked, nor those of a Subnet that has no address for it yet.
func checkSources(v *state.View, list []*state.EndpointSlice) map[string]string {
	sources := make(map[string]string)
	for addr, ip := range podsOf(v, list) {
		from := v.IP(state.HealthCheckName(ip.Subnet))
		if from == nil || from.Subnet != ip.Subnet {
			continue
		}
		for _, source := range from.IPs {
			if source.Is4() == addr.Is4() {
				sources[bracketed(addr)] = ip.Name + ":" + bracketed(source)
			}
		}
	}
	return sources
}

// bracketed writes an IPv6 address as ip_port_mappings has it.
func bracketed(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	return "[" + a.String() + "]"
}

// podsOf finds the Pods' IP objects among endpoints. An address that is in dispute is nobody's.
func podsOf(v *state.View, list []*state.EndpointSlice) map[netip.Addr]*state.IP {
	found := make(map[netip.Addr]*state.IP)
	for _, slice := range list {
		for _, e := range slice.Endpoints {
			if ips := v.IPsAt(e.Addr); len(ips) == 1 && strings.Contains(ips[0].Name, ".") {
				found[e.Addr] = ips[0]
			}
		}
	}
	return found
}

// CheckedSubnets lists the Subnets in which a rule has endpoints to be asked.
func CheckedSubnets(v *state.View, name string) []string {
	obj := v.SwitchLBRule(name)
	if obj == nil || !obj.Checked || !slices.ContainsFunc(obj.Ports, func(p state.ServicePort) bool { return p.Protocol != db.LoadBalancerProtocolSCTP }) {
		return nil
	}
	if s := v.RuleService(obj.Service); s == nil || s.RuleUID != obj.UID {
		return nil
	}
	var subnets []string
	for _, ip := range podsOf(v, v.EndpointSlicesOf(obj.Service)) {
		subnets = append(subnets, ip.Subnet)
	}
	slices.Sort(subnets)
	return slices.Compact(subnets)
}

// ruleProblems says why a rule cannot be served.
func ruleProblems(v *state.View, obj *state.SwitchLBRule) []Problem {
	var out Output
	if obj.Invalid != "" {
		out.Problem(ReasonInvalid, "%s", obj.Invalid)
	}
	for _, vip := range obj.VIPs {
		for _, port := range obj.Ports {
			if who := claimant(v, obj, vip, port); who != "" {
				out.Problem(ReasonConflict, "%s %s belongs to %s", netip.AddrPortFrom(vip, port.Port), port.Protocol, who)
			}
		}
		disputed(v, obj, vip, &out)
	}
	return out.Problems
}

// claimant is who has the address and port before the rule; empty when nobody has.
func claimant(v *state.View, obj *state.SwitchLBRule, vip netip.Addr, port state.ServicePort) string {
	for _, s := range v.ServicesAt(vip) {
		if has(s.Ports, port) && !obj.Created.Before(s.Created) {
			return "Service " + s.Key()
		}
	}
	for _, r := range v.SwitchLBRulesAt(vip) {
		if has(r.Ports, port) && r.Name != obj.Name && r.Older(obj) {
			return "SwitchLBRule " + r.Name
		}
	}
	return ""
}

// has compares what clients see of a port.
func has(ports []state.ServicePort, port state.ServicePort) bool {
	return slices.ContainsFunc(ports, func(p state.ServicePort) bool { return p.Port == port.Port && p.Protocol == port.Protocol })
}

// taken is what older SwitchLBRules have of a Service's addresses and ports.
func taken(v *state.View, obj *state.Service, protocol string, out *Output) map[netip.AddrPort]bool {
	taken := make(map[netip.AddrPort]bool)
	for _, vip := range obj.VIPs {
		for _, r := range v.SwitchLBRulesAt(vip) {
			for _, port := range r.Ports {
				if at := netip.AddrPortFrom(vip, port.Port); port.Protocol == protocol && has(obj.Ports, port) && r.Created.Before(obj.Created) {
					taken[at] = true
					out.Problem(ReasonConflict, "%s %s belongs to SwitchLBRule %s", at, protocol, r.Name)
				}
			}
		}
	}
	return taken
}

// disputed says who else has the address itself, in whose place nothing may answer.
func disputed(v *state.View, obj *state.SwitchLBRule, vip netip.Addr, out *Output) {
	for _, node := range v.Nodes() {
		if slices.Contains(node.InternalIPs, vip) {
			out.Problem(ReasonConflict, "%s is the address of Node %s", vip, node.Name)
		}
	}
	subnet := SubnetOf(v, obj.Vpc, vip)
	if subnet == nil {
		return
	}
	for i, cidr := range subnet.CIDRs {
		switch {
		case subnet.Gateways[i] == vip:
			out.Problem(ReasonConflict, "%s is the gateway of Subnet %s", vip, subnet.Name)
		case cidr.Contains(vip) && noHost(cidr, vip):
			out.Problem(ReasonInvalid, "%s is the first or the last address of Subnet %s, which nobody can have", vip, subnet.Name)
		}
	}
	for _, ip := range v.IPsAt(vip) {
		if ip.Name != state.VIPName(vip) {
			out.Problem(ReasonConflict, "%s is in use: IP %s of Subnet %s", vip, ip.Name, ip.Subnet)
		}
	}
}

// noHost tells the network's own address and the broadcast address; a range of two addresses has neither (RFC 3021, RFC 6164).
func noHost(cidr netip.Prefix, addr netip.Addr) bool {
	if cidr.Bits() >= cidr.Addr().BitLen()-1 {
		return false
	}
	return addr == cidr.Addr() || addr.Is4() && !cidr.Contains(addr.Next())
}

// SubnetOf is the Subnet of the VPC whose range has the address, nil when there is none. Of two that contradict each other it is
// the one that keeps the range.
func SubnetOf(v *state.View, vpc string, addr netip.Addr) *state.Subnet {
	var found *state.Subnet
	for _, s := range v.SubnetsOf(vpc) {
		if slices.ContainsFunc(s.CIDRs, func(cidr netip.Prefix) bool { return cidr.Contains(addr) }) && (found == nil || s.Older(found)) {
			found = s
		}
	}
	return found
}

// vipsKept tells whether the addresses of the rule that lie in Subnets are kept for it, so that no Pod gets them.
func vipsKept(v *state.View, obj *state.SwitchLBRule) bool {
	return !slices.ContainsFunc(obj.VIPs, func(vip netip.Addr) bool {
		subnet := SubnetOf(v, obj.Vpc, vip)
		if subnet == nil {
			return false
		}
		ip := v.IP(state.VIPName(vip))
		return ip == nil || ip.Subnet != subnet.Name || !slices.Contains(ip.IPs, vip)
	})
}

// proxied are the addresses of rules in a Subnet. Nobody has them, so the port to the router answers for them (ovn-nb(5),
// Logical_Switch_Port options:arp_proxy); what is sent there has been led to an endpoint before.
func proxied(v *state.View, subnet string) string {
	var addrs []string
	for _, ip := range v.VIPsIn(subnet) {
		for _, addr := range ip.IPs {
			if ip.Name == state.VIPName(addr) && len(v.IPsAt(addr)) == 1 && len(v.SwitchLBRulesAt(addr)) > 0 {
				addrs = append(addrs, addr.String())
			}
		}
	}
	return strings.Join(addrs, " ")
}

// linkOptions are those of a Subnet's port to its router.
func linkOptions(v *state.View, subnet, routerPort string) map[string]string {
	options := map[string]string{"router-port": routerPort}
	if addrs := proxied(v, subnet); addrs != "" {
		options["arp_proxy"] = addrs
	}
	return options
}

// WaitsFor says what a rule with which nothing is wrong waits for; empty when it is not an address.
func WaitsFor(v *state.View, name string) string {
	obj := v.SwitchLBRule(name)
	if obj == nil {
		return ""
	}
	for _, vip := range obj.VIPs {
		if s := SubnetOf(v, obj.Vpc, vip); s != nil && v.IP(state.VIPName(vip)) == nil {
			return fmt.Sprintf("waits for %s to be kept for it in Subnet %s", vip, s.Name)
		}
	}
	return ""
}
