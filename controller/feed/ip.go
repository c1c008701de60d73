package feed

import (
	"net/netip"

	v1 "github.com/heddle-net/heddle/crds/v1"

	"github.com/heddle-net/heddle/controller/state"
)

// IP converts an IP. Addresses that cannot be read are left out: the schema refuses them.
func IP(obj *v1.IP) *state.IP {
	return &state.IP{Name: obj.Name, Subnet: obj.Spec.Subnet, MAC: obj.Spec.MacAddress, IPs: AddressesOf(&obj.Spec)}
}

// AddressesOf lists the addresses of an IP object, IPv4 first. Kube-OVN fills all three fields, people often one.
func AddressesOf(spec *v1.IPSpec) []netip.Addr {
	both, _ := parseAddrs(spec.IPAddress)
	for _, text := range []string{spec.V6IPAddress, spec.V4IPAddress} {
		if addr, err := netip.ParseAddr(text); err == nil {
			both = append([]netip.Addr{addr.Unmap()}, both...)
		}
	}
	var v4, v6 []netip.Addr
	for _, addr := range both {
		switch {
		case addr.Is4() && len(v4) == 0:
			v4 = append(v4, addr)
		case addr.Is6() && len(v6) == 0:
			v6 = append(v6, addr)
		}
	}
	return append(v4, v6...)
}
