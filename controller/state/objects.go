package state

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Vpc is a virtual router.
type Vpc struct {
	Name string
	// Unsupported names the fields that are set and that Heddle does not implement yet.
	Unsupported []string
}

func (v *Vpc) equal(o *Vpc) bool {
	return v.Name == o.Name && slices.Equal(v.Unsupported, o.Unsupported)
}

// Subnet is a range of addresses and the logical switch that serves it.
type Subnet struct {
	Name     string
	Vpc      string
	Provider string
	// CIDRs and Gateways have one entry for each family, IPv4 first.
	CIDRs    []netip.Prefix
	Gateways []netip.Addr
	// GatewayMAC is derived from the gateways.
	GatewayMAC string
	// Services says that Pods here reach Services.
	Services bool
	// L2 says that the addresses are those of the nodes' own network, for Services of type LoadBalancer: no switch, and no Pods.
	L2       bool
	Security SubnetSecurity
	// Accepted and Created order Subnets that contradict each other: one that is in force keeps what it has, else the
	// younger one gives way. Creation times have a resolution of one second.
	Accepted bool
	Created  time.Time
	// Unsupported names the fields that are set and that Heddle does not implement yet.
	Unsupported []string
	// Invalid says what could not be read in the object; such a Subnet has no CIDRs and gets no rows.
	Invalid string
}

func (s *Subnet) equal(o *Subnet) bool {
	return s.Name == o.Name && s.Vpc == o.Vpc && s.Provider == o.Provider && s.Created.Equal(o.Created) && s.Invalid == o.Invalid && s.Accepted == o.Accepted && s.GatewayMAC == o.GatewayMAC && s.Services == o.Services && s.L2 == o.L2 && s.Security.equal(&o.Security) &&
		slices.Equal(s.CIDRs, o.CIDRs) && slices.Equal(s.Gateways, o.Gateways) && slices.Equal(s.Unsupported, o.Unsupported)
}

// Older tells which of two Subnets keeps what both claim.
func (s *Subnet) Older(o *Subnet) bool {
	if s.Accepted != o.Accepted {
		return s.Accepted
	}
	if s.Created.Equal(o.Created) {
		return s.Name < o.Name
	}
	return s.Created.Before(o.Created)
}

// Node is a Kubernetes node. Its port on the join switch has the addresses of the IP object node-<name>.
type Node struct {
	Name string
	// InternalIPs are the node's own addresses, as the kubelet reports them.
	InternalIPs []netip.Addr
	// ExternalIPs are the others that the kubelet reports.
	ExternalIPs []netip.Addr
	Labels      Labels
}

func (n *Node) equal(o *Node) bool {
	return n.Name == o.Name && n.Labels == o.Labels && slices.Equal(n.InternalIPs, o.InternalIPs) && slices.Equal(n.ExternalIPs, o.ExternalIPs)
}

// Addresses are all that the kubelet reports.
func (n *Node) Addresses() []netip.Addr { return slices.Concat(n.InternalIPs, n.ExternalIPs) }

// Port is the name of the node's port and of its IP object.
func (n *Node) Port() string { return NodePort(n.Name) }

// NodePort is the name of a node's port and of its IP object.
func NodePort(node string) string { return "node-" + node }

// Place says where a node is, which only those need to know who choose by it.
type Place struct {
	Node string
	Zone string // empty when it has none
	// Chassis is what OVN calls the node; empty until its daemon has said so.
	Chassis string
}

func (p *Place) equal(o *Place) bool { return *p == *o }

// Pod is a Pod that has a place in the overlay: it is on a node, not in the host network, and not finished.
type Pod struct {
	Namespace string
	Name      string
	UID       string
	Node      string
	Labels    Labels
}

func (p *Pod) equal(o *Pod) bool { return *p == *o }

// Key is namespace/name.
func (p *Pod) Key() string { return p.Namespace + "/" + p.Name }

// Port is the name of the Pod's port and of its IP object.
func (p *Pod) Port() string { return PodPort(p.Namespace, p.Name) }

// PodPort is the name of a Pod's port and of its IP object.
func PodPort(namespace, name string) string { return name + "." + namespace }

// Namespace is known for its labels, by which selectors choose.
type Namespace struct {
	Name   string
	Labels Labels
}

func (n *Namespace) equal(o *Namespace) bool { return *n == *o }

// IP records that an address is in use. It, and not the annotations of a Pod, which its author may write, says what the
// Pod's port has.
type IP struct {
	Name   string
	Subnet string
	MAC    string
	// IPs has at most one address of each family, IPv4 first.
	IPs []netip.Addr
}

func (p *IP) equal(o *IP) bool {
	return p.Name == o.Name && p.Subnet == o.Subnet && p.MAC == o.MAC && slices.Equal(p.IPs, o.IPs)
}

// Addresses is the entry of a port in OVN's addresses column: the MAC, then the addresses.
func (p *IP) Addresses() string {
	parts := make([]string, 1, 3)
	parts[0] = p.MAC
	for _, ip := range p.IPs {
		parts = append(parts, ip.String())
	}
	return strings.Join(parts, " ")
}
