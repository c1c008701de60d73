package feed

import (
	"net/netip"
	"slices"

	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// Domain converts a DNSNameResolver. What is no address that somebody outside could have is left out: a name cannot open the way to
// the node itself, or to everybody who listens.
func Domain(obj *v1.DNSNameResolver) *state.Domain {
	d := &state.Domain{Name: state.DomainName(obj.Spec.Name)}
	for _, name := range obj.Status.ResolvedNames {
		for _, a := range name.ResolvedAddresses {
			addr, err := netip.ParseAddr(a.IP)
			if err == nil && addr.Zone() == "" && addr.Unmap().IsGlobalUnicast() {
				d.Addresses = append(d.Addresses, addr.Unmap())
			}
		}
	}
	slices.SortFunc(d.Addresses, netip.Addr.Compare)
	d.Addresses = slices.Compact(d.Addresses)
	return d
}
