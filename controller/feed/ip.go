package feed

import (
	"net/netip"

	v1 "github.com/heddle-net/heddle/crds/v1"

	"github.com/heddle-net/heddle/controller/ipam"
	"github.com/heddle-net/heddle/controller/state"
)

// IP converts an IP; nil when its address or its MAC cannot be read, which the schema refuses. A MAC that is not given is
// derived from the address, as the pool does.
func IP(obj *v1.IP) *state.IP {
	addrs := AddressesOf(&obj.Spec)
	if len(addrs) == 0 {
		return nil
	}
	var both [2]netip.Addr
	for _, addr := range addrs {
		both[ipam.FamilyOf(addr)] = addr
	}
	mac := ipam.DefaultMAC(both[ipam.IPv4], both[ipam.IPv6])
	if obj.Spec.MacAddress != "" {
		var err error
		if mac, err = ipam.ParseMAC(obj.Spec.MacAddress); err != nil {
			return nil
		}
	}
	return &state.IP{Name: obj.Name, Subnet: obj.Spec.Subnet, MAC: mac.String(), IPs: addrs}
}

// AddressesOf lists the addresses of an IP object, IPv4 first. Kube-OVN fills all three fields, people often one.
func AddressesOf(spec *v1.IPSpec) []netip.Addr {
	both, _ := ParseAddrs(spec.IPAddress)
	for _, text := range []string{spec.V6IPAddress, spec.V4IPAddress} {
		if addrs, err := ParseAddrs(text); err == nil {
			both = append(addrs, both...)
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
