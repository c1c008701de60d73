package compile

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
)

// gatewayMAC derives a router port's address from its first gateway, so that it is the same for ever and nowhere else in
// the switch: 0a:58 (locally administered), then the IPv4 address, or a hash of the IPv6 one.
func gatewayMAC(gateways []netip.Addr) string {
	b := gateways[0].AsSlice()
	if gateways[0].Is6() {
		sum := sha256.Sum256(b)
		b = sum[:4]
	}
	return fmt.Sprintf("0a:58:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3])
}
