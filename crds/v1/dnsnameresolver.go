package v1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DNSNameResolver has the addresses that a name in DNS has for the Pods of the
// cluster. Heddle makes one for each of the domainNames of policies, and
// keeps in its status what Pods are answered when they ask for the name.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=dnsnameresolvers,singular=dnsnameresolver,shortName=dnsnameresolver,scope=Cluster
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Name",type=string,JSONPath=`.spec.name`
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=`.status.resolvedNames[*].resolvedAddresses[*].ip`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type DNSNameResolver struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which name.
	Spec DNSNameResolverSpec `json:"spec"`
	// status is what Pods have been answered.
	// +optional
	Status DNSNameResolverStatus `json:"status,omitempty"`
}

// DNSNameResolverList is a list of DNSNameResolvers.
//
// +kubebuilder:object:root=true
type DNSNameResolverList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []DNSNameResolver `json:"items"`
}

// DNSNameResolverSpec says which name.
type DNSNameResolverSpec struct {
	// name in DNS, with the dot at its end. "*." at the start stands for one
	// label or more. Example: "*.example.com.".
	//
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=254
	// +kubebuilder:validation:Pattern=`^(\*\.)?([A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?\.)+$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="cannot be changed"
	Name string `json:"name"`
}

// DNSNameResolverStatus is what Pods have been answered.
type DNSNameResolverStatus struct {
	// resolvedNames are the names that have been asked for: the one of the spec,
	// or those that it stands for.
	//
	// +optional
	// +listType=map
	// +listMapKey=dnsName
	ResolvedNames []DNSNameResolverResolvedName `json:"resolvedNames,omitempty"`
}

// DNSNameResolverResolvedName is a name and its addresses.
type DNSNameResolverResolvedName struct {
	// conditions are there for tools that know Kube-OVN's; none is set.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// dnsName is the name, in lower case, with the dot at its end.
	DNSName string `json:"dnsName"`
	// resolvedAddresses are those of its A and AAAA records.
	//
	// +optional
	// +listType=map
	// +listMapKey=ip
	ResolvedAddresses []DNSNameResolverResolvedAddress `json:"resolvedAddresses,omitempty"`
	// resolutionFailures is there for tools that know Kube-OVN's; it is not
	// counted.
	//
	// +optional
	ResolutionFailures int32 `json:"resolutionFailures,omitempty"`
}

// DNSNameResolverResolvedAddress is an address and how long it holds.
type DNSNameResolverResolvedAddress struct {
	// ip is an IPv4 or IPv6 address.
	IP string `json:"ip"`
	// ttlSeconds is how long the address holds after lastLookupTime.
	TTLSeconds int32 `json:"ttlSeconds"`
	// lastLookupTime is when a Pod was answered it last.
	LastLookupTime metav1.Time `json:"lastLookupTime"`
}

// Ends is when the address does not hold any more.
func (a *DNSNameResolverResolvedAddress) Ends() time.Time {
	return a.LastLookupTime.Add(time.Duration(a.TTLSeconds) * time.Second)
}
