package decide

import (
	"net/netip"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// protocolOf names the families of a Subnet.
func protocolOf(cidrs []netip.Prefix) v1.Protocol {
	switch {
	case len(cidrs) == 2:
		return v1.ProtocolDual
	case cidrs[0].Addr().Is4():
		return v1.ProtocolIPv4
	}
	return v1.ProtocolIPv6
}
