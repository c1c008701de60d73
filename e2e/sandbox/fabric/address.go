package fabric

import (
	"fmt"
	"net"
	"net/netip"
)

// Network is one of the router's bridges with what is behind it. Host 1 is the router.
type Network struct {
	Bridge string
	V4, V6 netip.Prefix
}

// The two networks.
var (
	Nodes   = Network{"nodes", netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:1::/64")}
	Outside = Network{"outside", netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:2::/64")}
)

// Numbers of hosts in their network.
const (
	RouterHost  = 1
	ControlHost = 5
	firstHost   = 10 // node 1 and outside host 1 are 11
	lastHost    = 254
)

// Numbered is the host number of node n or outside host n, counted from 1.
func Numbered(n int) (int, error) {
	if host := firstHost + n; n >= 1 && host <= lastHost {
		return host, nil
	}
	return 0, fmt.Errorf("no address for number %d: 1 to %d are possible", n, lastHost-firstHost)
}

// Addresses of a host, IPv4 first, each with the network's prefix length.
func (n Network) Addresses(host int) []netip.Prefix {
	return []netip.Prefix{
		netip.PrefixFrom(nth(n.V4.Addr(), host), n.V4.Bits()),
		netip.PrefixFrom(nth(n.V6.Addr(), host), n.V6.Bits()),
	}
}

// nth is correct for networks whose last byte is zero, as both are.
func nth(base netip.Addr, host int) netip.Addr {
	bytes := base.AsSlice()
	bytes[len(bytes)-1] = byte(host)
	addr, _ := netip.AddrFromSlice(bytes)
	return addr
}

// mac is a locally administered address that shows the IPv4 address in its last four bytes.
func (n Network) mac(host int) net.HardwareAddr {
	v4 := nth(n.V4.Addr(), host).As4()
	return net.HardwareAddr{0x02, 0x00, v4[0], v4[1], v4[2], v4[3]}
}
