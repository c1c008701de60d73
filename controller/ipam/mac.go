package ipam

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
)

// DefaultMAC is the MAC of a port with these addresses: 0a:58 and the four bytes of the IPv4 address, or the first four
// bytes of the SHA-256 of the text of the IPv6 address when there is no IPv4.
func DefaultMAC(v4, v6 netip.Addr) string { return derivedMAC(v4, v6, 0) }

// derivedMAC gives the n-th candidate. The second byte counts, not the last: that one would yield the default of the
// neighbouring address. All 2^32 candidates differ.
func derivedMAC(v4, v6 netip.Addr, n uint32) string {
	mac := net.HardwareAddr{0x0a, 0x58 + byte(n), 0, 0, 0, 0}
	if v4.IsValid() {
		copy(mac[2:], v4.AsSlice())
	} else {
		sum := sha256.Sum256([]byte(v6.String()))
		copy(mac[2:], sum[:4])
	}
	mac[5] += byte(n >> 8)
	mac[4] += byte(n >> 16)
	mac[3] += byte(n >> 24)
	return mac.String()
}

func parseMAC(s string) (string, error) {
	mac, err := net.ParseMAC(s)
	switch {
	case err != nil || len(mac) != 6:
		return "", &RequestError{fmt.Sprintf("%q is not a MAC address", s)}
	case mac[0]&1 == 1: // IEEE 802: the group bit
		return "", &RequestError{fmt.Sprintf("MAC %s is a multicast address", mac)}
	case bytes.Equal(mac, make([]byte, 6)):
		return "", &RequestError{fmt.Sprintf("MAC %s is all zeros", mac)}
	}
	return mac.String(), nil
}
