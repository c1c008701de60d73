package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GatewayType says where the traffic of a Subnet leaves the overlay.
type GatewayType string

const (
	// GatewayTypeDistributed lets every Pod leave by its own node.
	GatewayTypeDistributed GatewayType = "distributed"
	// GatewayTypeCentralized lets all Pods leave by the nodes in
	// spec.gatewayNode.
	GatewayTypeCentralized GatewayType = "centralized"
)

// Protocol says which address families a Subnet has.
type Protocol string

// The values of spec.protocol.
const (
	ProtocolIPv4 Protocol = "IPv4"
	ProtocolIPv6 Protocol = "IPv6"
	ProtocolDual Protocol = "Dual"
	// ProtocolMac is an underlay Subnet that gives MAC addresses only.
	ProtocolMac Protocol = "Mac"
)

// Subnet is a range of addresses for Pods, together with how these Pods
// reach the rest of the world. A Subnet of the provider "ovn" is an OVN
// logical switch of the same name, connected to the router of its Vpc.
//
// Pods get their Subnet from the annotation
// ovn.kubernetes.io/logical_switch, else from the Subnet that names their
// Namespace in spec.namespaces or spec.namespaceSelectors, else from the
// Subnet with spec.default.
//
// Example: a Subnet for the Namespaces blue and green, whose Pods reach
// the outside by the node's address:
//
//	apiVersion: kubeovn.io/v1
//	kind: Subnet
//	metadata:
//	  name: team-a
//	spec:
//	  cidrBlock: 10.66.0.0/16,fd00:10:66::/112
//	  excludeIps: ["10.66.0.1..10.66.0.9"]
//	  namespaces: [blue, green]
//	  natOutgoing: true
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=subnets,singular=subnet,shortName=subnet,scope=Cluster
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Provider",type=string,JSONPath=`.spec.provider`
// +kubebuilder:printcolumn:name="Vpc",type=string,JSONPath=`.spec.vpc`
// +kubebuilder:printcolumn:name="Vlan",type=string,JSONPath=`.spec.vlan`
// +kubebuilder:printcolumn:name="Protocol",type=string,JSONPath=`.spec.protocol`
// +kubebuilder:printcolumn:name="CIDR",type=string,JSONPath=`.spec.cidrBlock`
// +kubebuilder:printcolumn:name="Private",type=boolean,JSONPath=`.spec.private`
// +kubebuilder:printcolumn:name="NAT",type=boolean,JSONPath=`.spec.natOutgoing`
// +kubebuilder:printcolumn:name="Default",type=boolean,JSONPath=`.spec.default`
// +kubebuilder:printcolumn:name="GatewayType",type=string,JSONPath=`.spec.gatewayType`
// +kubebuilder:printcolumn:name="V4Used",type=number,JSONPath=`.status.v4usingIPs`
// +kubebuilder:printcolumn:name="V4Available",type=number,JSONPath=`.status.v4availableIPs`
// +kubebuilder:printcolumn:name="V6Used",type=number,JSONPath=`.status.v6usingIPs`
// +kubebuilder:printcolumn:name="V6Available",type=number,JSONPath=`.status.v6availableIPs`
// +kubebuilder:printcolumn:name="ExcludeIPs",type=string,JSONPath=`.spec.excludeIps`
// +kubebuilder:printcolumn:name="U2OInterconnectionIP",type=string,JSONPath=`.status.u2oInterconnectionIP`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[^0-9]')",message="metadata.name must not start with a digit"
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="metadata.name must have 63 characters at most: it labels the IPs of the Subnet"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.vpc) || self.metadata.name != self.spec.vpc",message="metadata.name must differ from spec.vpc: OVN tools tell a switch from a router by name only"
type Subnet struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the Subnet as the user wants it.
	Spec SubnetSpec `json:"spec"`
	// status is what the controller reports about it.
	// +optional
	Status SubnetStatus `json:"status,omitempty"`
}

// SubnetList is a list of Subnets.
//
// +kubebuilder:object:root=true
type SubnetList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Subnet `json:"items"`
}

// InForce tells whether the Subnet is a part of the network: it is Ready, or Pods still have addresses in it. The range of a
// Subnet that was refused must not be routed anywhere.
func (s *Subnet) InForce() bool {
	for _, c := range s.Status.Conditions {
		if c.Type == ConditionReady && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return !s.Status.V4UsingIPs.Equal(BigInt{}) || !s.Status.V6UsingIPs.Equal(BigInt{})
}
