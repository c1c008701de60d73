package host

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// Facts is what Compile must know of the node beyond the input: what was there before us.
type Facts struct {
	Uplink *Uplink // as br-phy records it, or as it would be recorded now; nil = no link carries the tunnel address
	// Moved says that br-phy exists and Uplink is its record.
	Moved bool
	// Away says that Open vSwitch runs no more: its database does not answer, and nobody holds the link br-phy.
	Away bool
	// Foreign says that a bridge br-phy exists that is not ours.
	Foreign bool
	// Broken says why br-phy's record, if it has one, cannot be read; it is foreign then.
	Broken string
	// Unmoved are routes of the NIC that br-phy cannot take over.
	Unmoved []string
	// Barriers are foreign firewall chains that drop what Pods send through the node.
	Barriers []string
	// MTU of the uplink NIC, 0 when it is not there.
	MTU int
}

// compiler gathers what a Desired says besides its segments.
type compiler struct {
	cfg   Config
	in    Input
	facts Facts
	out   Desired
	// clusterIPs are the ranges that Services have for themselves.
	clusterIPs []netip.Prefix
}

// Compile says what the node should have. It is total and pure: bad input gives a defined result and a problem. With no
// input yet (nil), only the uplink is looked after.
func Compile(cfg Config, in *Input, f Facts) Desired {
	c := &compiler{cfg: cfg, facts: f}
	c.uplink()
	if in == nil {
		c.wait("the Node and the Subnets have not been read yet")
		return c.out
	}
	c.in = *in
	c.out.Problems = append(c.out.Problems, f.Barriers...)
	join := c.join()
	nodes := append(c.nodeIPs(), cfg.EncapIP)
	subnets := c.subnets(join, nodes)
	c.clusterIPs = c.serviceCIDRs(join, nodes)
	c.sysctls(join, subnets)
	c.overlay(join, subnets)
	c.nat(join, subnets)
	c.mirrors()
	return c.out
}

// CompileTeardown says what a node has after Heddle: the uplink as it was before, and nothing of ours.
func CompileTeardown(f Facts) Desired {
	c := &compiler{facts: f}
	c.giveBack()
	c.out.Segments = append(c.out.Segments, Segment{
		Name: segmentOverlay, NoTables: []string{"inet"}, NoPorts: []string{LinkOverlay}, NoBridges: []string{BridgeInt},
	})
	return c.out
}

func (c *compiler) problem(format string, args ...any) {
	c.out.Problems = append(c.out.Problems, fmt.Sprintf(format, args...))
}

func (c *compiler) wait(format string, args ...any) {
	c.out.Waiting = append(c.out.Waiting, fmt.Sprintf(format, args...))
}

// mtu is the size that ovn0 and the Pods may use.
func (c *compiler) mtu() int {
	switch {
	case c.cfg.MTU > 0:
		return c.cfg.MTU
	case c.facts.MTU > tunnelCost:
		return c.facts.MTU - tunnelCost
	}
	c.problem("no link carries the tunnel address %s: the MTU of ovn0 is a guess, %d", c.cfg.EncapIP, fallbackMTU)
	return fallbackMTU
}

// sysctls makes the node a router. IPv6 forwarding turns a host that learns its routes from router advertisements into one
// that ignores them, unless accept_ra is 2 (Documentation/networking/ip-sysctl.rst): raised first, and only where
// advertisements were heeded until now. Without IPv6 in the overlay, IPv6 is not touched.
func (c *compiler) sysctls(join map[int]joinFamily, subnets []subnet) {
	s := Segment{Name: "node", Sysctls: []Sysctl{{Key: "net/ipv4/ip_forward", Value: "1"}}}
	if c.usesIPv6(join, subnets) {
		if u := c.facts.Uplink; u != nil {
			s.Sysctls = append(s.Sysctls, Sysctl{Key: acceptRA(u.NIC), Value: "2", OnlyIf: "1", Until: forwardIPv6, Link: u.NIC})
		}
		s.Sysctls = append(s.Sysctls, Sysctl{Key: forwardIPv6, Value: "1"})
	}
	c.out.Segments = append(c.out.Segments, s)
}

const forwardIPv6 = "net/ipv6/conf/all/forwarding"

func acceptRA(link string) string { return "net/ipv6/conf/" + link + "/accept_ra" }

func (c *compiler) usesIPv6(join map[int]joinFamily, subnets []subnet) bool {
	_, ok := join[6]
	return ok || slices.ContainsFunc(subnets, func(s subnet) bool { return s.prefix.Addr().Is6() })
}

// overlay is ovn0: the node's port on the join switch, with routes to the Subnets and Services through the router.
//
// rp_filter is 2 (loose). The kernel uses the larger of the values for "all" and for the link, so 0 would be strict on
// hosts where "all" is 1, and strict drops the first packets of a Pod whose Subnet has no route here yet. accept_local
// stays off: no packet of another sender has one of the node's own addresses as its source.
func (c *compiler) overlay(join map[int]joinFamily, subnets []subnet) {
	mac, mtu := c.mac(), c.mtu()
	s := Segment{
		Name:    segmentOverlay,
		Bridges: []Bridge{{Name: BridgeInt, Datapath: c.cfg.Datapath, FailMode: "secure", ExternalIDs: ours()}},
		Ports: []Port{{
			Bridge: BridgeInt, Name: LinkOverlay, Type: "internal", MAC: mac, MTU: mtu,
			ExternalIDs: map[string]string{OwnerKey: OwnerHost, "iface-id": "node-" + c.cfg.NodeName},
		}},
		Sysctls: []Sysctl{
			{Key: "net/ipv4/conf/ovn0/rp_filter", Value: rpFilterLoose, Link: LinkOverlay},
			{Key: "net/ipv6/conf/ovn0/accept_ra", Value: "0", Link: LinkOverlay},
			// OVN answers for the addresses that it gave: nobody to ask, no second to wait.
			{Key: "net/ipv6/conf/ovn0/accept_dad", Value: "0", Link: LinkOverlay},
		},
		Links: []Link{{Name: LinkOverlay, MAC: mac, MTU: mtu, Up: true, OwnAddrs: true}},
	}
	if c.cfg.Datapath == DatapathNetdev {
		// The user-space datapath does not finish checksums of packets that come from a tap.
		s.Links[0].TxCsum = "off"
	}
	for _, family := range []int{4, 6} {
		if j, ok := join[family]; ok {
			s.Addrs = append(s.Addrs, Addr{Link: LinkOverlay, Prefix: netip.PrefixFrom(j.addr, j.cidr.Bits())})
		}
	}
	s.Routes = c.overlayRoutes(join, subnets)
	c.out.Segments = append(c.out.Segments, s)
}

func (c *compiler) overlayRoutes(join map[int]joinFamily, subnets []subnet) []Route {
	var out []Route
	for _, family := range []int{4, 6} {
		if j, ok := join[family]; ok {
			out = append(out, overlayRoute(j.cidr, netip.Addr{}, j.addr))
		}
	}
	for _, s := range c.withServices(join, subnets) {
		j := join[family(s.prefix.Addr())]
		switch {
		case j.gateway.IsValid():
			out = append(out, overlayRoute(s.prefix, j.gateway, j.addr))
		case len(join) > 0:
			c.problem("%s: the node has no %s join address with a gateway, so no route to %s", s.name, familyName(s.prefix.Addr()), s.prefix)
		}
	}
	return slices.CompactFunc(sorted(out, compareRoutes), func(a, b Route) bool { return a.key() == b.key() })
}

func overlayRoute(dst netip.Prefix, gateway, src netip.Addr) Route {
	r := Route{Link: LinkOverlay, Dst: dst, Gateway: gateway, Src: src, Protocol: RouteProtocol}
	if dst.Addr().Is6() {
		r.Metric = ipv6Metric
	}
	return r
}

// withServices adds the Services' CIDRs of the families that the node has on the join switch: that the cluster has
// Services of the other family too is no fault of the node's.
func (c *compiler) withServices(join map[int]joinFamily, subnets []subnet) []subnet {
	out := slices.Clone(subnets)
	for _, p := range c.clusterIPs {
		if _, ok := join[family(p.Addr())]; ok {
			out = append(out, subnet{name: "service CIDR", prefix: p})
		}
	}
	return out
}

func ours() map[string]string { return map[string]string{OwnerKey: OwnerHost} }

func family(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}

func familyName(a netip.Addr) string {
	return "IPv" + strconv.Itoa(family(a))
}
