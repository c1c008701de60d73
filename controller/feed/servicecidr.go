package feed

import (
	"net/netip"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/heddle-net/heddle/controller/state"
)

// ServiceCIDR converts a ServiceCIDR. It counts for as long as it exists: while it is being deleted, Services may still have
// addresses of it.
func ServiceCIDR(obj *networkingv1.ServiceCIDR) *state.ServiceCIDR {
	s := &state.ServiceCIDR{Name: obj.Name}
	for _, text := range obj.Spec.CIDRs {
		if cidr, err := netip.ParsePrefix(text); err == nil {
			s.CIDRs = append(s.CIDRs, cidr.Masked())
		}
	}
	return s
}
