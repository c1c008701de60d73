package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every kind in this package.
const GroupName = "kubeovn.io"

var (
	// GroupVersion is kubeovn.io/v1.
	GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1"}

	// SchemeBuilder collects the functions that add this package's kinds to a scheme.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme adds this package's kinds to a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

// Resource gives the group-qualified name of a resource, for API errors: Resource("subnets").
func Resource(resource string) schema.GroupResource {
	return GroupVersion.WithResource(resource).GroupResource()
}

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &Subnet{}, &SubnetList{}, &IP{}, &IPList{}, &Vpc{}, &VpcList{}, &SwitchLBRule{}, &SwitchLBRuleList{}, &SecurityGroup{}, &SecurityGroupList{}, &DNSNameResolver{}, &DNSNameResolverList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
