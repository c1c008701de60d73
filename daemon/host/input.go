package host

import (
	"net"
	"net/netip"
	"strings"
)

// joinFamily is the node's place on the join switch in one IP family.
type joinFamily struct {
	addr    netip.Addr
	cidr    netip.Prefix
	gateway netip.Addr // zero when the annotation has none
}

// subnet is one CIDR of a Subnet.
type subnet struct {
	name        string
	prefix      netip.Prefix
	natOutgoing bool
}

// join reads the Node's annotations by IP family (4 or 6). A family without a usable address and CIDR is left out.
func (c *compiler) join() map[int]joinFamily {
	out := map[int]joinFamily{}
	if c.in.IP == "" {
		c.wait("the Node has no join address yet")
		return out
	}
	cidrs := byFamily(c, "annotation cidr", c.in.CIDR, parsePrefix)
	gateways := byFamily(c, "annotation gateway", c.in.Gateway, parseAddr)
	addrs := byFamily(c, "annotation ip_address", c.in.IP, parseAddr)
	for _, f := range []int{4, 6} {
		addr, ok := addrs[f]
		if !ok {
			continue
		}
		cidr, ok := cidrs[f]
		if !ok || !cidr.Contains(addr) {
			c.problem("annotation cidr %q has no CIDR that contains the join address %s: it is not used", c.in.CIDR, addr)
			continue
		}
		out[f] = joinFamily{addr: addr, cidr: cidr.Masked(), gateway: c.gateway(gateways[f], cidr, addr)}
	}
	if len(out) == 0 {
		c.wait("the Node has no usable join address")
	}
	return out
}

func (c *compiler) gateway(gw netip.Addr, cidr netip.Prefix, addr netip.Addr) netip.Addr {
	if gw.IsValid() && (!cidr.Contains(gw) || gw == addr) {
		c.problem("annotation gateway %s is not another address in %s: it is not used", gw, cidr)
		return netip.Addr{}
	}
	return gw
}

// mac is the normal form of the annotation, or empty.
func (c *compiler) mac() string {
	if c.in.MAC == "" {
		c.wait("the Node has no MAC address of the join network yet")
		return ""
	}
	mac, err := net.ParseMAC(c.in.MAC)
	if err != nil || len(mac) != 6 || mac[0]&1 != 0 {
		c.problem("annotation mac_address %q is not an Ethernet address of one host: it is not used", c.in.MAC)
		c.wait("the Node has no usable MAC address")
		return ""
	}
	return mac.String()
}

// subnets are the CIDRs that are routed into the overlay. One that covers a node's own address is refused: its route would
// cut this node off from that one.
func (c *compiler) subnets(join map[int]joinFamily, nodes []netip.Addr) []subnet {
	var out []subnet
	for _, s := range c.in.Subnets {
		what := "Subnet " + s.Name
		cidrs := byFamily(c, what, s.CIDR, parsePrefix)
		for _, f := range []int{4, 6} {
			if cidr, ok := cidrs[f]; ok && !c.collides(what, cidr.Masked(), nodes, join) {
				out = append(out, subnet{name: what, prefix: cidr.Masked(), natOutgoing: s.NATOutgoing})
			}
		}
	}
	return out
}

// serviceCIDRs are routed as Subnets are, with the same limits. One that overlaps a Subnet does no harm: both lead to the same router.
func (c *compiler) serviceCIDRs(join map[int]joinFamily, nodes []netip.Addr) []netip.Prefix {
	list := c.in.ServiceCIDRs
	if len(list) == 0 {
		list = c.cfg.ServiceCIDRs
	}
	var out []netip.Prefix
	for _, p := range list {
		if p = p.Masked(); !c.collides("Service CIDR", p, nodes, join) {
			out = append(out, p)
		}
	}
	return out
}

func (c *compiler) collides(what string, cidr netip.Prefix, nodes []netip.Addr, join map[int]joinFamily) bool {
	for _, a := range nodes {
		if cidr.Contains(a) {
			c.problem("%s: %s contains the node address %s: it is not routed", what, cidr, a)
			return true
		}
	}
	if j, ok := join[family(cidr.Addr())]; ok && cidr.Overlaps(j.cidr) {
		c.problem("%s: %s overlaps the join network %s: it is not routed", what, cidr, j.cidr)
		return true
	}
	return false
}

func (c *compiler) nodeIPs() []netip.Addr {
	var out []netip.Addr
	for _, s := range c.in.NodeIPs {
		if a, f := parseAddr(s); f != 0 {
			out = append(out, a)
		} else {
			c.problem("node address %q is not an IP address: it is not used", s)
		}
	}
	return out
}

// byFamily reads a list "v4,v6". What cannot be read, and a second value of a family, is a problem and left out.
func byFamily[T any](c *compiler, what, list string, parse func(string) (T, int)) map[int]T {
	out := map[int]T{}
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		v, f := parse(item)
		_, twice := out[f]
		switch {
		case f == 0:
			c.problem("%s: %q cannot be read: it is not used", what, item)
		case twice:
			c.problem("%s: %q is a second IPv%d value: it is not used", what, item, f)
		default:
			out[f] = v
		}
	}
	return out
}

// parseAddr reads the address of one host; family 0 when it is none.
func parseAddr(s string) (netip.Addr, int) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
		return netip.Addr{}, 0
	}
	a = a.Unmap()
	return a, family(a)
}

// parsePrefix reads a CIDR; family 0 when it is none, or all addresses.
func parsePrefix(s string) (netip.Prefix, int) {
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Bits() == 0 || p.Addr().Is4In6() || p.Addr().IsMulticast() || p.Addr().IsLoopback() {
		return netip.Prefix{}, 0
	}
	return p, family(p.Addr())
}
