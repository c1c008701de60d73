package compile

import (
	"net/netip"

	"github.com/heddle-net/heddle/controller/state"
)

// mostNamed keeps the Event within what the API server takes.
const mostNamed = 5

// serviceCIDR wants no rows: a load balancer may have any address. It says which of the addresses are somebody else's already,
// who keeps them.
func serviceCIDR(v *state.View, name string, out *Output) {
	obj := v.ServiceCIDR(name)
	if obj == nil {
		return
	}
	for _, cidr := range obj.CIDRs {
		claimed(v, cidr, out)
	}
	out.Problems = out.Problems[:min(len(out.Problems), mostNamed)]
}

func claimed(v *state.View, cidr netip.Prefix, out *Output) {
	for _, node := range v.Nodes() {
		for _, ip := range node.InternalIPs {
			if cidr.Contains(ip) {
				out.Problem(ReasonConflict, "CIDR %s contains the address %s of Node %s: nodes get no route to it", cidr, ip, node.Name)
			}
		}
	}
	for _, subnet := range v.SubnetsOf(v.Config().DefaultVpc) {
		for _, theirs := range subnet.CIDRs {
			if subnet.Accepted && theirs.Overlaps(cidr) {
				out.Problem(ReasonConflict, "CIDR %s overlaps %s of Subnet %s, which is in force: a Service hides the Pod that has its address", cidr, theirs, subnet.Name)
			}
		}
	}
}
