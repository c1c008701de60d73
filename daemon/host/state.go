package host

import (
	"cmp"
	"net/netip"
	"slices"
)

// Names of what is ours on a node.
const (
	LinkOverlay   = "ovn0"   // the node's own port of the overlay
	LinkUplink    = "br-phy" // user space only: the bridge that holds the uplink NIC and its addresses
	BridgeInt     = "br-int" // OVN's integration bridge
	TableName     = "heddle" // of the nftables tables, family inet and netdev
	OwnerKey      = "heddle-owner"
	OwnerHost     = "host"
	UplinkKey     = "heddle-uplink"
	tunnelCost    = 100  // octets that Geneve with OVN's options takes of the uplink's MTU
	fallbackMTU   = 1400 // of ovn0 while the uplink is unknown
	ipv6Metric    = 1024 // IP6_RT_PRIO_USER: what the kernel writes for an IPv6 route without a metric
	rpFilterLoose = "2"  // loose, RFC 3704
)

// RouteProtocol marks our routes (rtm_protocol, "ip route … proto 72"). 72 is free in iproute2's rt_protos, above what the
// kernel reserves (0–4) and beside what routing daemons use.
const RouteProtocol = 72

// Desired is what a node should have, in the order in which it is established. A segment that fails or waits does not
// hold up the others.
type Desired struct {
	Segments []Segment
	Problems []string // input that makes no sense, and what was done instead
	Waiting  []string // input that is not there yet; the node is not ready
}

// segmentOverlay is the name of the segment that all routes of ours belong to.
const segmentOverlay = "overlay"

// Segment is one part of the node's network that is established in order: bridges and ports, sysctls, links, addresses,
// routes, tables.
type Segment struct {
	Name    string
	Bridges []Bridge
	Ports   []Port
	Sysctls []Sysctl
	Links   []Link
	Addrs   []Addr
	Routes  []Route
	Tables  []Table

	// Bare names a link that hands its addresses and routes over to this segment, and keeps none.
	Bare string
	// Attached names a port that ovs-vswitchd must have opened before Bare may lose an address.
	Attached string
	// What this segment must not have; bridges and ports only when they carry our mark.
	NoTables  []string
	NoBridges []string
	NoPorts   []string
}

// Observed is what the node has, as far as a Desired speaks of it.
type Observed struct {
	Bridges map[string]Bridge
	Ports   map[string]Port
	Sysctls map[string]string
	Links   map[string]Link
	Addrs   []Addr  // global ones, of the links that Desired names
	Routes  []Route // ours, those of the links that Desired names, and those that hold a destination that we want
	Tables  map[string]Table
	Flows   []Flow // of UDP, to Services that have changed lately
	OVS     error  // why Bridges and Ports are not known
	NoFlows error  // why Flows are not known
}

// Sysctl is a value below /proc/sys.
type Sysctl struct {
	Key    string // net/ipv4/ip_forward
	Value  string
	OnlyIf string // when set: only this value is changed,
	Until  string // and only until this other key is 1
	Link   string // the link it belongs to, or empty
}

// Link is a network device; empty fields are not managed.
type Link struct {
	Name     string
	MAC      string
	MTU      int
	Up       bool
	TxCsum   string // "on", "off": ethtool's tx-checksumming
	GRO      string // "on", "off": ethtool's generic-receive-offload
	OwnAddrs bool   // every global address on it is ours
}

// Addr is an address of a link.
type Addr struct {
	Link   string
	Prefix netip.Prefix
	// PrefixRoute lets the kernel make the connected route. Otherwise it is a Route of its own, which is restored
	// like the others (a connected route removed by hand would not come back by itself).
	PrefixRoute bool
}

// Route is a unicast route of the main table.
type Route struct {
	Link     string       `json:"link"`
	Dst      netip.Prefix `json:"dst"`
	Gateway  netip.Addr   `json:"gateway,omitzero"`
	Src      netip.Addr   `json:"src,omitzero"`
	Metric   int          `json:"metric,omitempty"`
	Protocol int          `json:"protocol"`
	OnLink   bool         `json:"onlink,omitempty"`
	MTU      int          `json:"mtu,omitempty"`
}

// routeKey is what the kernel allows once (IPv4 type of service aside).
type routeKey struct {
	Dst    netip.Prefix
	Metric int
}

func (r Route) key() routeKey { return routeKey{r.Dst, r.Metric} }

// compareRoutes puts connected routes first: a gateway must be reachable when its route is added.
func compareRoutes(a, b Route) int {
	if a.Gateway.IsValid() != b.Gateway.IsValid() {
		if b.Gateway.IsValid() {
			return -1
		}
		return 1
	}
	return cmp.Or(a.Dst.Addr().Compare(b.Dst.Addr()), cmp.Compare(a.Dst.Bits(), b.Dst.Bits()),
		cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Link, b.Link))
}

// Table is an nftables table of ours.
type Table struct {
	Family string // "inet", "netdev"; one table a family
	Sets   []Set
	Chains []Chain
}

// Set is a named set or, when it has Data, a map. The text of an element is "key" or "key : value", with the fields of either
// joined by " . ".
type Set struct {
	Name     string
	Type     string // "ipv4_addr", "ipv6_addr", or fields joined by " . "; not read back of a map to verdicts
	Data     string // of a map: the type of its values, "verdict" too
	Interval bool   // the elements, or the last fields of their keys, are prefixes
	Dynamic  bool   // packets add elements, which end by themselves; only those that have become wrong are removed
	Ports    string // of a map with slots: the protocol whose ports its values have; not read back
	Elements []string
}

// Chain is a chain; a base chain when it has a hook.
type Chain struct {
	Name     string
	Type     string // "nat", "filter"
	Hook     string
	Priority int
	Device   string // of the ingress hook
	Rules    []Rule
}

// Rule is one rule. The kernel gives rules back as bytecode, so they are compared by their comment, which carries a
// fingerprint of the text.
type Rule struct {
	Text    string
	Comment string
}

func sorted[T any](in []T, compare func(a, b T) int) []T {
	out := slices.Clone(in)
	slices.SortFunc(out, compare)
	return out
}
