package compile

import (
	"net/netip"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// vpc wants the router of a VPC, the group of its load balancers, and its default routes: what no Subnet of the VPC has goes to the nodes, through the join
// switch. Which node is decided by policies (node.go).
func vpc(v *state.View, name string, out *Output) {
	obj := v.Vpc(name)
	if obj == nil {
		return
	}
	for _, field := range obj.Unsupported {
		out.Problem(ReasonNotSupported, "spec.%s is not supported yet", field)
	}
	if name != v.Config().DefaultVpc {
		out.Problem(ReasonNotSupported, "only the VPC %s is supported yet", v.Config().DefaultVpc)
		return
	}
	out.Row(nb.Row{ID: name, Model: &db.LogicalRouter{Name: name, Options: routerOptions()}})
	group := balancers(name)
	out.Row(nb.Row{ID: group.ID, Model: &db.LoadBalancerGroup{Name: group.ID}})
	join := v.Subnet(v.Config().JoinSubnet)
	if join == nil {
		return
	}
	for _, gateway := range join.Gateways {
		out.Row(defaultRoute(name, gateway))
	}
}

// balancers is the group of all load balancers of a VPC, which its switches refer to as one.
func balancers(vpc string) nb.Ref {
	return nb.Ref{Table: db.LoadBalancerGroupTable, ID: nb.NameOf(nb.Owner{Kind: state.KindVpc, Key: vpc})}
}

// routerOptions keep the router from learning what it need not know (ovn-nb(5), Logical_Router options): neighbours are
// resolved when asked for, and learned addresses age.
func routerOptions() map[string]string {
	return map[string]string{
		"always_learn_from_arp_request": "false",
		"dynamic_neigh_routers":         "true",
		"mac_binding_age_threshold":     "300",
	}
}

func defaultRoute(router string, gateway netip.Addr) nb.Row {
	prefix := netip.PrefixFrom(zero(gateway), 0).String()
	return nb.Row{
		ID:    router + " " + prefix,
		Model: &db.LogicalRouterStaticRoute{IPPrefix: prefix, Nexthop: gateway.String()},
		In:    []nb.Edge{inRouter(router, "static_routes")},
	}
}

// zero is the unspecified address of a's family.
func zero(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func inRouter(router, column string) nb.Edge {
	return nb.Edge{Parent: nb.Ref{Table: db.LogicalRouterTable, ID: router}, Column: column}
}
