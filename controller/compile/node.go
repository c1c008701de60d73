package compile

import (
	"net/netip"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// Priorities of router policies, Kube-OVN's numbers.
const (
	priorityNodeDNS = 30100 // a node-local DNS server is asked on the node of the Pod, whatever gateway its Subnet has
	priorityNode    = 30000 // traffic to a node's own address goes to that node
	priorityGateway = 29000 // everything else leaves by the node of the Pod
)

// node wants the node's port on the join switch, the policies that lead to the node's own addresses, those that lead its Pods to its
// node-local DNS server, and one policy for each family that makes the node the gateway of the Pods on it. The router runs where the packet starts, so
// is_chassis_resident picks the right policy there: one row for each node, none for each Subnet or Pod.
func node(v *state.View, name string, out *Output) {
	obj := v.Node(name)
	if obj == nil {
		return
	}
	port, router := obj.Port(), v.Config().DefaultVpc
	ip := v.IP(port)
	if ip == nil {
		return
	}
	out.Row(nb.Row{
		ID:    port,
		Model: &db.LogicalSwitchPort{Name: port, Addresses: []string{ip.Addresses()}},
		In:    []nb.Edge{inSwitch(ip.Subnet)},
	})
	for _, join := range ip.IPs {
		out.Row(policy(router, port, priorityGateway, family(join)+` && is_chassis_resident("`+port+`")`,
			db.LogicalRouterPolicyActionReroute, join.String()))
		for _, dns := range v.Config().NodeLocalDNS {
			if dns.Is4() == join.Is4() {
				out.Row(policy(router, port, priorityNodeDNS, ipMatch(dns, "dst", dns)+` && is_chassis_resident("`+port+`")`,
					db.LogicalRouterPolicyActionReroute, join.String()))
			}
		}
		for _, own := range obj.InternalIPs {
			if own.Is4() == join.Is4() {
				out.Row(policy(router, port, priorityNode, ipMatch(own, "dst", own), db.LogicalRouterPolicyActionReroute, join.String()))
			}
		}
	}
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "ip4"
	}
	return "ip6"
}
