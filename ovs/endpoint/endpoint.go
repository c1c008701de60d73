package endpoint

import (
	"net/netip"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// Of lists a database's addresses as OVN's programs take them, "ssl:192.0.2.1:6642", sorted, each once.
//
// One that is about to end is listed only when there is no other: ovn-controller shuffles what it is given
// (ovsdb_cs_set_shuffle_remotes() of OVS), so an order would not keep it away. One that is not ready is worth trying while its Pod starts.
func Of(list []discoveryv1.EndpointSlice) []string {
	var alive, ending []netip.AddrPort
	for _, s := range list {
		for _, e := range s.Endpoints {
			into := &alive
			if t := e.Conditions.Terminating; t != nil && *t {
				into = &ending
			}
			*into = append(*into, addrPorts(s.Ports, e.Addresses)...)
		}
	}
	if len(alive) == 0 {
		alive = ending
	}
	slices.SortFunc(alive, netip.AddrPort.Compare)
	var out []string
	for _, a := range slices.Compact(alive) {
		out = append(out, "ssl:"+a.String())
	}
	return out
}

// addrPorts leaves out what is no address: a slice may be of the type FQDN.
func addrPorts(ports []discoveryv1.EndpointPort, addresses []string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, p := range ports {
		for _, a := range addresses {
			if ip, err := netip.ParseAddr(a); err == nil && p.Port != nil {
				out = append(out, netip.AddrPortFrom(ip, uint16(*p.Port)))
			}
		}
	}
	return out
}
