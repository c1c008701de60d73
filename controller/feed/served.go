package feed

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// Served are the kinds that an API server may not know.
type Served struct {
	ServiceCIDRs bool // before Kubernetes 1.33
	// Those of policy.networking.k8s.io are there when somebody has installed them.
	AdminPolicies, BaselinePolicies, ClusterPolicies bool
}

// ServedBy asks which kinds there are.
func ServedBy(mapper meta.RESTMapper) (s Served, err error) {
	for _, kind := range []struct {
		there *bool
		kind  schema.GroupVersionKind
	}{
		{&s.ServiceCIDRs, networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR")},
		{&s.AdminPolicies, kindOf(v1alpha1.GroupVersion, "AdminNetworkPolicy")},
		{&s.BaselinePolicies, kindOf(v1alpha1.GroupVersion, "BaselineAdminNetworkPolicy")},
		{&s.ClusterPolicies, kindOf(v1alpha2.GroupVersion, "ClusterNetworkPolicy")},
	} {
		_, err := mapper.RESTMapping(kind.kind.GroupKind(), kind.kind.Version)
		if err != nil && !meta.IsNoMatchError(err) {
			return s, fmt.Errorf("ask for kind %s: %w", kind.kind.Kind, err)
		}
		*kind.there = err == nil
	}
	return s, nil
}

func kindOf(v metav1.GroupVersion, kind string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: v.Group, Version: v.Version, Kind: kind}
}
