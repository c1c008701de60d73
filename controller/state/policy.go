package state

import (
	"net/netip"
	"reflect"
)

// Direction is that of a connection, seen from the Pods that a policy is for.
type Direction uint8

// Directions of connections.
const (
	Ingress Direction = iota
	Egress
	Directions
)

func (d Direction) String() string { return [...]string{"ingress", "egress"}[d] }

// NetworkPolicy isolates Pods, and says what reaches them (or what they reach) all the same.
type NetworkPolicy struct {
	Namespace string
	Name      string
	Pods      Selector
	Isolates  [Directions]bool
	// Lax isolates from TCP, UDP and SCTP only, and lets DHCP through.
	Lax bool
	Log Log
	// Rules are those of the directions in which the policy isolates.
	Rules []Rule
	// Invalid says what could not be read. It allows nothing.
	Invalid []string
}

func (p *NetworkPolicy) equal(o *NetworkPolicy) bool { return reflect.DeepEqual(p, o) }

// Log says what of a policy's doing is logged.
type Log struct {
	Allowed, Dropped bool
	// Rate is the number of messages of one ACL in a second, at most; 0 is all.
	Rate int
}

// Rule allows connections between the Pods of its policy and others.
type Rule struct {
	Direction Direction
	// Anybody is the other side whatever its address; Peers and Blocks are empty then.
	Anybody bool
	Peers   []Selector
	Blocks  []Block
	// AnyPort allows every protocol; Ports is empty then.
	AnyPort bool
	Ports   []PortRange
}

// Block is a range of addresses with holes.
type Block struct {
	Prefix netip.Prefix
	Except []netip.Prefix
}

// PortRange is some ports of a protocol, on the side that is connected to.
type PortRange struct {
	Protocol string // "tcp", "udp" or "sctp", as OVN writes it
	// Name is that of a container's port; First and Last are 0 then.
	Name string
	// First and Last are in the range; both are 0 for all ports of the protocol.
	First, Last uint16
}
