package host

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
)

// Kernel priorities of the base chains: NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC, and first of all at ingress.
const (
	priorityDNAT    = -100
	prioritySNAT    = 100
	priorityIngress = -500
)

// nat is the table that hides Pods of natOutgoing Subnets behind the node when they talk to the outside. The number of
// rules does not depend on the cluster: what changes are elements of sets.
//
// Inside, and so not masqueraded: Subnets, the join network, Services, nodes. A reply to a connection from the outside is
// not masqueraded either, since nat chains see only the first packet of a connection.
//
// The exceptions are connections whose answer would not pass the node that has to translate it back: from inside to a port of
// the node that somebody (portmap for a hostPort, or we for a Service) translates, since OVN would bring a Pod's answer to
// the client directly; and from outside to a frontend of a Service whose endpoints may be anywhere. What the node sends to
// itself comes back by itself.
func (c *compiler) nat(join map[int]joinFamily, subnets []subnet) {
	table := Table{Family: "inet", Chains: append(serviceChains(), guard())}
	post := Chain{Name: "postrouting", Type: "nat", Hook: "postrouting", Priority: prioritySNAT}
	for _, f := range []int{4, 6} {
		sets, rules := c.natFamily(f, join, subnets)
		serviceSets, chains := c.services(f)
		table.Sets = slices.Concat(table.Sets, sets, serviceSets)
		table.Chains = append(table.Chains, chains...)
		post.Rules = append(post.Rules, rules...)
	}
	table.Chains = append(table.Chains, post)
	table.sort()
	c.out.Segments = append(c.out.Segments, Segment{Name: "nat", Tables: []Table{table}})
}

func (c *compiler) natFamily(f int, join map[int]joinFamily, subnets []subnet) ([]Set, []Rule) {
	v, ip, typ := "-v4", "ip", "ipv4_addr"
	if f == 6 {
		v, ip, typ = "-v6", "ip6", "ipv6_addr"
	}
	sources, inside := c.prefixesOf(f, join, subnets)
	sets := []Set{
		{Name: "nat-outgoing" + v, Type: typ, Interval: true, Elements: disjoint(sources)},
		{Name: "cluster" + v, Type: typ, Interval: true, Elements: disjoint(inside)},
		{Name: "nodes" + v, Type: typ, Elements: c.nodesOf(f)},
		{Name: setBalancers + v, Type: typ, Elements: c.balancersOf(f)},
	}
	return sets, []Rule{
		newRule(ip + " saddr @nat-outgoing" + v + " " + ip + " daddr != @cluster" + v + " " +
			ip + " daddr != @nodes" + v + " masquerade fully-random"),
		newRule("oifname != lo ct status dnat " + ip + " saddr @cluster" + v + " masquerade fully-random"),
		newRule("oifname " + LinkOverlay + " ct status dnat " + ip + " saddr @nodes" + v + " masquerade fully-random"),
		newRule("oifname != lo ct status dnat " + withPorts + " " + originalFrontend(f) + " @" + setMasquerade + v + " masquerade fully-random"),
	}
}

// prefixesOf are the natOutgoing Subnets of a family, and all that is inside the cluster.
func (c *compiler) prefixesOf(f int, join map[int]joinFamily, subnets []subnet) (sources, inside []netip.Prefix) {
	for _, s := range subnets {
		if family(s.prefix.Addr()) != f {
			continue
		}
		inside = append(inside, s.prefix)
		if s.natOutgoing {
			sources = append(sources, s.prefix)
		}
	}
	if j, ok := join[f]; ok {
		inside = append(inside, j.cidr)
	}
	for _, p := range c.clusterIPs {
		if family(p.Addr()) == f {
			inside = append(inside, p)
		}
	}
	return sources, inside
}

func (c *compiler) nodesOf(f int) []string {
	var out []string
	for _, s := range c.in.NodeIPs {
		if a, af := parseAddr(s); af == f {
			out = append(out, a.String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// setBalancers has the addresses of Services that some node answers for.
const setBalancers = "balancers"

func (c *compiler) balancersOf(f int) []string {
	var out []string
	for _, a := range c.in.Balancers {
		if family(a) == f {
			out = append(out, a.String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// guard keeps what the node itself serves, its SSH for one, from being reached at the addresses of Services that it has on its
// uplink: what arrives there for a port of the Service is translated before it comes here. ICMP stays, without which IPv6
// neighbours would not find the address, nor people by a ping; and so do the answers that the node gets when it asks a Service at an
// address of which it is the owner itself.
func guard() Chain {
	const notOurs = "ct state != { established, related }"
	return Chain{Name: "guard-balancers", Type: "filter", Hook: "input", Rules: rules([]string{
		"ip daddr @" + setBalancers + "-v4 meta l4proto != icmp " + notOurs + " goto refuse",
		"ip6 daddr @" + setBalancers + "-v6 meta l4proto != ipv6-icmp " + notOurs + " goto refuse",
	})}
}

// disjoint drops prefixes that another one contains: an interval set refuses overlaps, and two prefixes overlap only in
// this way.
func disjoint(in []netip.Prefix) []string {
	in = sorted(in, func(a, b netip.Prefix) int {
		if a.Bits() != b.Bits() {
			return a.Bits() - b.Bits()
		}
		return a.Addr().Compare(b.Addr())
	})
	var kept []netip.Prefix
	for _, p := range in {
		if !slices.ContainsFunc(kept, p.Overlaps) {
			kept = append(kept, p)
		}
	}
	out := make([]string, 0, len(kept))
	for _, p := range kept {
		out = append(out, p.String())
	}
	slices.Sort(out)
	return out
}

// ingress is the table that keeps the host's own stack from the packets of the NIC in br-phy. ovs-vswitchd reads a copy of
// each by a packet socket, before this hook; the stack would answer a second time, since Linux accepts a packet for any of
// its addresses on any link (OVS, Documentation/intro/install/userspace.rst, "Firewall Rules").
func ingress(nic string) Table {
	return Table{Family: "netdev", Chains: []Chain{{
		Name: "uplink", Type: "filter", Hook: "ingress", Priority: priorityIngress, Device: nic, Rules: []Rule{newRule("iifname " + nic + " drop")},
	}}}
}

func newRule(text string) Rule {
	sum := sha256.Sum256([]byte(text))
	return Rule{Text: text, Comment: "heddle " + hex.EncodeToString(sum[:6])}
}
