package ipam

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// MAC is an Ethernet address; the zero MAC stands for none.
type MAC [6]byte

// String gives "0a:58:0a:10:00:02", or "" for none.
func (m MAC) String() string {
	if m == (MAC{}) {
		return ""
	}
	return strings.ReplaceAll(fmt.Sprintf("% x", m[:]), " ", ":")
}

// ParseMAC reads the MAC of a port: "0a:58:0a:10:00:02", "0a-58-0a-10-00-02", "0a58.0a10.0002" or "0a580a100002".
func ParseMAC(s string) (MAC, error) {
	raw := decodeMAC(s)
	if len(raw) != len(MAC{}) {
		return MAC{}, &RequestError{fmt.Sprintf("%q is not a MAC address", s)}
	}
	m := MAC(raw)
	switch {
	case m == MAC{}:
		return MAC{}, &RequestError{fmt.Sprintf("MAC %s is all zeros", s)}
	case m[0]&1 == 1: // IEEE 802: the group bit
		return MAC{}, &RequestError{fmt.Sprintf("MAC %s is a multicast address", m)}
	}
	return m, nil
}

// decodeMAC is net.ParseMAC for 48 bits: net is closed to pure packages. It returns nil when s has none of the forms.
func decodeMAC(s string) []byte {
	for separator, digits := range map[string]int{":": 2, "-": 2, ".": 4} {
		parts := strings.Split(s, separator)
		if len(parts) != 12/digits || slices.ContainsFunc(parts, func(p string) bool { return len(p) != digits }) {
			continue
		}
		if raw, err := hex.DecodeString(strings.Join(parts, "")); err == nil {
			return raw
		}
	}
	if raw, err := hex.DecodeString(s); err == nil { // without separators
		return raw
	}
	return nil
}

// DefaultMAC is the MAC of a port with these addresses: 0a:58 and the four bytes of the IPv4 address, or the first four
// bytes of the SHA-256 of the text of the IPv6 address when there is no IPv4.
func DefaultMAC(v4, v6 netip.Addr) MAC {
	m := MAC{0x0a, 0x58}
	if v4.IsValid() {
		raw := v4.As4()
		copy(m[2:], raw[:])
		return m
	}
	sum := sha256.Sum256([]byte(v6.String()))
	copy(m[2:], sum[:])
	return m
}

// alternative is the n-th MAC to try where the default is taken. The second byte counts first, not the last: that one
// would yield the default of the neighboring address. All 2^32 of them differ.
func (m MAC) alternative(n uint32) MAC {
	m[1] += byte(n)
	m[5] += byte(n >> 8)
	m[4] += byte(n >> 16)
	m[3] += byte(n >> 24)
	return m
}
