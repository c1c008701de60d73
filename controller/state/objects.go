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
	// Created orders Subnets that contradict each other: the younger one gives way.
	Created time.Time
	// Unsupported names the fields that are set and that Heddle does not implement yet.
	Unsupported []string
	// Invalid says what could not be read in the object; such a Subnet gets no rows.
	Invalid string
}

func (s *Subnet) equal(o *Subnet) bool {
	return s.Name == o.Name && s.Vpc == o.Vpc && s.Provider == o.Provider && s.Created.Equal(o.Created) && s.Invalid == o.Invalid &&
		slices.Equal(s.CIDRs, o.CIDRs) && slices.Equal(s.Gateways, o.Gateways) && slices.Equal(s.Unsupported, o.Unsupported)
}

// Older tells which of two Subnets keeps what both claim.
func (s *Subnet) Older(o *Subnet) bool {
	if s.Created.Equal(o.Created) {
		return s.Name < o.Name
	}
	return s.Created.Before(o.Created)
}

// Node is a Kubernetes node with its port on the join switch.
type Node struct {
	Name string
	// InternalIPs are the node's own addresses, as the kubelet reports them.
	InternalIPs []netip.Addr
	// JoinIPs and MAC are those of the node's port; empty until they are allocated.
	JoinIPs []netip.Addr
	MAC     string
	// Chassis is OVN's name of the node; empty until the node daemon has said it.
	Chassis string
}

func (n *Node) equal(o *Node) bool {
	return n.Name == o.Name && n.MAC == o.MAC && n.Chassis == o.Chassis &&
		slices.Equal(n.InternalIPs, o.InternalIPs) && slices.Equal(n.JoinIPs, o.JoinIPs)
}

// Pod is a Pod with its ports. A Pod in the host network, a finished one and one without addresses have none.
type Pod struct {
	Namespace string
	Name      string
	UID       string
	Node      string
	Nics      []Nic
}

// Key is namespace/name.
func (p *Pod) Key() string { return p.Namespace + "/" + p.Name }

func (p *Pod) equal(o *Pod) bool {
	return p.Namespace == o.Namespace && p.Name == o.Name && p.UID == o.UID && p.Node == o.Node &&
		slices.EqualFunc(p.Nics, o.Nics, Nic.equal)
}

// Nic is one port of a Pod, as recorded in the Pod's annotations.
type Nic struct {
	Subnet string
	MAC    string
	// IPs has at most one address of each family, IPv4 first.
	IPs []netip.Addr
}

func (n Nic) equal(o Nic) bool {
	return n.Subnet == o.Subnet && n.MAC == o.MAC && slices.Equal(n.IPs, o.IPs)
}

// Addresses is the port's entry in OVN's addresses column: the MAC, then the addresses.
func (n Nic) Addresses() string { return portAddresses(n.MAC, n.IPs) }

// Addresses is the entry of the node's port in OVN's addresses column.
func (n *Node) Addresses() string { return portAddresses(n.MAC, n.JoinIPs) }

func portAddresses(mac string, ips []netip.Addr) string {
	parts := make([]string, 1, 3)
	parts[0] = mac
	for _, ip := range ips {
		parts = append(parts, ip.String())
	}
	return strings.Join(parts, " ")
}
