package feed

import (
	"fmt"
	"net/netip"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"

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

// HasServiceCIDRs asks whether the API server knows the kind. Before Kubernetes 1.33 it does not.
func HasServiceCIDRs(mapper meta.RESTMapper) (bool, error) {
	_, err := mapper.RESTMapping(networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR").GroupKind(), networkingv1.SchemeGroupVersion.Version)
	if meta.IsNoMatchError(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask for ServiceCIDRs: %w", err)
	}
	return true, nil
}
