package verdict

import (
	"slices"
	"strings"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// privateSubnet is final where the Pod's Subnet is private and the other side is none whom it lets in. It lets nobody through that a
// later tier keeps out, and nor does allowEWTraffic: that is about raw ACLs.
func (c *Cluster) privateSubnet(t *traffic) (Decision, bool) {
	for _, subnet := range c.Subnets {
		if t.direction == "ingress" && subnet.Spec.Private && subnetHas(subnet, t.local) && !letsIn(subnet, t.remote) {
			return Decision{Policy: "Subnet " + subnet.Name, Rule: "private"}, true
		}
	}
	return Decision{}, false
}

func subnetHas(subnet *v1.Subnet, e end) bool {
	return slices.ContainsFunc(strings.Split(subnet.Spec.CIDRBlock, ","), func(cidr string) bool { return inCIDR(cidr, e.addr) })
}

// letsIn are "the Subnet itself, the nodes and allowSubnets".
func letsIn(subnet *v1.Subnet, remote end) bool {
	return remote.node != nil || subnetHas(subnet, remote) || slices.ContainsFunc(subnet.Spec.AllowSubnets, func(cidr string) bool { return inRange(cidr, remote.addr) })
}
