package state

import (
	"net/netip"
	"slices"
)

// SubnetSecurity says who may reach the Pods of a Subnet.
type SubnetSecurity struct {
	// Private lets nobody in but the Subnet itself, the nodes and AllowFrom.
	Private   bool
	AllowFrom []netip.Prefix
	// EastWest lets the Pods of the Subnet reach each other whatever weaker ACLs say.
	EastWest bool
	ACLs     []SubnetACL
	// Invalid says what could not be read. It lets nobody in.
	Invalid []string
}

func (s *SubnetSecurity) equal(o *SubnetSecurity) bool {
	return s.Private == o.Private && s.EastWest == o.EastWest && slices.Equal(s.AllowFrom, o.AllowFrom) && slices.Equal(s.ACLs, o.ACLs) &&
		slices.Equal(s.Invalid, o.Invalid)
}

// SubnetACL is a row as its author wants it; what it matches is for OVN to read.
type SubnetACL struct {
	Direction Direction
	Priority  int
	Match     string
	Action    string // OVN's
}
