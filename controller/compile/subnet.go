package compile

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// prioritySubnet lets traffic to a Subnet take the router's connected route before any policy of a gateway sends it
// elsewhere (Kube-OVN's number; its users look for it).
const prioritySubnet = 31000

// subnet wants a switch, its link to the VPC's router, and the policies that keep traffic between Subnets inside. OVN has nothing to
// do with addresses of the nodes' own network.
func subnet(v *state.View, name string, out *Output) {
	obj := v.Subnet(name)
	if obj == nil {
		return
	}
	out.Problems = SubnetProblems(v, obj)
	if len(out.Problems) > 0 || obj.L2 {
		return
	}
	router := obj.Vpc
	port, link := router+"-"+name, name+"-"+router
	out.Row(nb.Row{ID: name, Model: &db.LogicalSwitch{Name: name, LoadBalancerGroup: groupsOf(v, obj)}})
	out.Row(nb.Row{
		ID: link,
		Model: &db.LogicalSwitchPort{
			Name: link, Type: "router", Addresses: []string{"router"}, Options: linkOptions(v, name, port),
		},
		In: []nb.Edge{inSwitch(name)},
	})
	out.Row(nb.Row{
		ID:    port,
		Model: &db.LogicalRouterPort{Name: port, MAC: obj.GatewayMAC, Networks: networks(obj)},
		In:    []nb.Edge{inRouter(router, "ports")},
	})
	for _, cidr := range obj.CIDRs {
		out.Row(policy(router, name, prioritySubnet, ipMatch(cidr.Addr(), "dst", cidr), db.LogicalRouterPolicyActionAllow))
	}
	secure(v, obj, out)
}

// groupsOf lets Pods of the Subnet reach Services. The join Subnet always does: by it, nodes reach them.
func groupsOf(v *state.View, obj *state.Subnet) []string {
	if !obj.Services && obj.Name != v.Config().JoinSubnet {
		return nil
	}
	return []string{balancers(obj.Vpc).String()}
}

// SubnetProblems says why a Subnet cannot be served. No address is given out in such a Subnet, and it gets no rows.
func SubnetProblems(v *state.View, obj *state.Subnet) []Problem {
	var out Output
	if obj.Invalid != "" {
		out.Problem(ReasonInvalid, "%s", obj.Invalid)
		return out.Problems
	}
	for _, field := range obj.Unsupported {
		out.Problem(ReasonNotSupported, "spec.%s is not supported yet", field)
	}
	if obj.Vpc != v.Config().DefaultVpc {
		out.Problem(ReasonNotSupported, "spec.vpc: only the VPC %s is supported yet", v.Config().DefaultVpc)
	}
	if obj.Name == obj.Vpc {
		out.Problem(ReasonInvalid, "a Subnet must not have the name of its VPC")
	}
	for _, cidr := range obj.CIDRs {
		out.Problems = append(out.Problems, unusable(v, obj, cidr)...)
		overlaps(v, obj, cidr, &out)
	}
	return out.Problems
}

// special are ranges in which no Pod can have an address: this host, loopback, link-local and multicast (RFC 6890, RFC 4291).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("::/127"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
}

// unusable says why no Subnet of the cluster can have that range. A Service CIDR that comes later does not take a Subnet out of
// force; it is warned itself (servicecidr.go).
func unusable(v *state.View, obj *state.Subnet, cidr netip.Prefix) []Problem {
	var out Output
	for _, p := range special {
		if p.Overlaps(cidr) {
			out.Problem(ReasonInvalid, "CIDR %s overlaps %s, in which Pods can have no addresses", cidr, p)
		}
	}
	if obj.Accepted {
		return out.Problems
	}
	for _, dns := range v.Config().NodeLocalDNS {
		if cidr.Contains(dns) {
			out.Problem(ReasonConflict, "CIDR %s contains the node-local DNS address %s", cidr, dns)
		}
	}
	for _, services := range v.ServiceCIDRs() {
		for _, theirs := range services.CIDRs {
			if theirs.Overlaps(cidr) {
				out.Problem(ReasonConflict, "CIDR %s overlaps the Service CIDR %s", cidr, theirs)
			}
		}
	}
	return out.Problems
}

// hopeless tells that a Subnet can never be in force as it is: nobody has to give way to it.
func hopeless(v *state.View, s *state.Subnet) bool {
	return !s.Accepted && slices.ContainsFunc(s.CIDRs, func(cidr netip.Prefix) bool { return len(unusable(v, s, cidr)) > 0 })
}

// overlaps finds everything that uses addresses of a Subnet's range already.
func overlaps(v *state.View, obj *state.Subnet, cidr netip.Prefix, out *Output) {
	for _, other := range v.SubnetsOf(obj.Vpc) {
		for _, theirs := range other.CIDRs { // the cheapest question comes first: there may be thousands of Subnets
			if theirs.Overlaps(cidr) && other.Name != obj.Name && !hopeless(v, other) && yields(obj, other, v.Config().JoinSubnet) {
				out.Problem(ReasonConflict, "CIDR %s overlaps %s of Subnet %s", cidr, theirs, other.Name)
			}
		}
	}
	if obj.Accepted || obj.L2 {
		return // a Node that comes later does not take a Subnet out of force; the nodes' own network is where they belong
	}
	for _, node := range v.Nodes() {
		for _, ip := range node.InternalIPs {
			if cidr.Contains(ip) {
				out.Problem(ReasonConflict, "CIDR %s contains the address %s of Node %s", cidr, ip, node.Name)
			}
		}
	}
}

// yields tells which of two Subnets gives way: the younger one, but never the join Subnet.
func yields(obj, other *state.Subnet, join string) bool {
	if obj.Name == join || other.Name == join {
		return other.Name == join
	}
	return other.Older(obj)
}

// networks are the router port's addresses: the gateways with the length of their ranges.
func networks(obj *state.Subnet) []string {
	list := make([]string, len(obj.CIDRs))
	for i, cidr := range obj.CIDRs {
		list[i] = netip.PrefixFrom(obj.Gateways[i], cidr.Bits()).String()
	}
	return list
}

func inSwitch(name string) nb.Edge {
	return nb.Edge{Parent: nb.Ref{Table: db.LogicalSwitchTable, ID: name}, Column: "ports"}
}

// policy is a router policy of an owner; who names the owner and must be unique together with the match.
func policy(router, who string, priority int, match, action string, nexthops ...string) nb.Row {
	return nb.Row{
		ID: fmt.Sprintf("%s %d %s", who, priority, match),
		Model: &db.LogicalRouterPolicy{
			Priority: priority, Match: match, Action: action, Nexthops: nexthops,
		},
		In: []nb.Edge{inRouter(router, "policies")},
	}
}

// ipMatch prints an OVN match on an address of a family, as ip4.dst == 10.16.0.0/16.
func ipMatch(family netip.Addr, side string, value fmt.Stringer) string {
	if family.Is4() {
		return "ip4." + side + " == " + value.String()
	}
	return "ip6." + side + " == " + value.String()
}
