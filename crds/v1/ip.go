package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IP records that an address is in use, by a Pod, by a node or by hand.
// There is one IP per network interface, named <pod>.<namespace> for a Pod
// and node-<node> for a node, and one for each Service that has an address
// from a pool, named lb-<n>-<namespace>-<service>, where n is the length of
// the Namespace's name. It is the only durable record of an address:
// whatever has an IP object is never given away twice.
//
// An IP made by hand reserves its address. Deleting an IP that is reserved
// releases it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=ips,singular=ip,shortName=ip,scope=Cluster
// +kubebuilder:printcolumn:name="V4IP",type=string,JSONPath=`.spec.v4IpAddress`
// +kubebuilder:printcolumn:name="V6IP",type=string,JSONPath=`.spec.v6IpAddress`
// +kubebuilder:printcolumn:name="Mac",type=string,JSONPath=`.spec.macAddress`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.nodeName`
// +kubebuilder:printcolumn:name="Subnet",type=string,JSONPath=`.spec.subnet`
type IP struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the address, and who has it.
	Spec IPSpec `json:"spec"`
}

// IPSpec is the address, and who has it. Addresses, once set, never
// change: a Pod that gets another address gets another IP object.
//
// +kubebuilder:validation:XValidation:rule=`(has(self.ipAddress) && self.ipAddress != "") || (has(self.v4IpAddress) && self.v4IpAddress != "") || (has(self.v6IpAddress) && self.v6IpAddress != "") || (has(self.macAddress) && self.macAddress != "")`,message="an IP needs an address: set v4IpAddress, v6IpAddress or both"
// +kubebuilder:validation:XValidation:rule=`!has(self.ipAddress) || self.ipAddress == "" || !has(self.v4IpAddress) || self.v4IpAddress == "" || self.v4IpAddress in self.ipAddress.split(',')`,fieldPath=.v4IpAddress,message="is not in ipAddress; leave ipAddress out, it is derived"
// +kubebuilder:validation:XValidation:rule=`!has(self.ipAddress) || self.ipAddress == "" || !has(self.v6IpAddress) || self.v6IpAddress == "" || self.v6IpAddress in self.ipAddress.split(',')`,fieldPath=.v6IpAddress,message="is not in ipAddress; leave ipAddress out, it is derived"
// +kubebuilder:validation:XValidation:rule=`!has(oldSelf.ipAddress) || oldSelf.ipAddress == "" || has(self.ipAddress)`,fieldPath=.ipAddress,message="cannot be removed: delete the IP instead"
// +kubebuilder:validation:XValidation:rule=`!has(oldSelf.v4IpAddress) || oldSelf.v4IpAddress == "" || has(self.v4IpAddress)`,fieldPath=.v4IpAddress,message="cannot be removed: delete the IP instead"
// +kubebuilder:validation:XValidation:rule=`!has(oldSelf.v6IpAddress) || oldSelf.v6IpAddress == "" || has(self.v6IpAddress)`,fieldPath=.v6IpAddress,message="cannot be removed: delete the IP instead"
// +kubebuilder:validation:XValidation:rule=`!has(oldSelf.macAddress) || oldSelf.macAddress == "" || has(self.macAddress)`,fieldPath=.macAddress,message="cannot be removed: delete the IP instead"
type IPSpec struct {
	// podName is the Pod, the node or the Service that has the address; empty
	// when it is reserved by hand.
	//
	// +optional
	PodName string `json:"podName"`
	// namespace of the Pod or Service; empty for nodes.
	//
	// +optional
	Namespace string `json:"namespace"`
	// subnet that the address belongs to. Example: ovn-default. Immutable.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf || oldSelf == ''",message="cannot be changed: delete the IP and make a new one"
	Subnet string `json:"subnet"`
	// nodeName is the node that the Pod runs on, or the node itself.
	//
	// +optional
	NodeName string `json:"nodeName"`
	// ipAddress is v4IpAddress and v6IpAddress together: "10.16.0.7",
	// "fd00:10:16::7" or "10.16.0.7,fd00:10:16::7". It is derived and can be
	// left out. Immutable once set.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self == '' || self.split(',').all(i, isIP(i))",message="must be an IP address such as 10.16.0.7, or an IPv4 and an IPv6 address such as 10.16.0.7,fd00:10:16::7"
	// +kubebuilder:validation:XValidation:rule="self == self.lowerAscii()",message="IPv6 must be written in lower case"
	// +kubebuilder:validation:XValidation:rule="self.split(',').size() == 1 || !self.split(',').all(i, isIP(i)) || self.split(',').map(i, ip(i).family()) == [4, 6]",message="two addresses must be one IPv4 and one IPv6 address, in this order"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf || oldSelf == ''",message="cannot be changed: delete the IP and make a new one"
	IPAddress string `json:"ipAddress"`
	// v4IpAddress is the IPv4 address. Example: "10.16.0.7". Immutable once
	// set.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:XValidation:rule="self == '' || (isIP(self) && ip(self).family() == 4)",message="must be an IPv4 address such as 10.16.0.7"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf || oldSelf == ''",message="cannot be changed: delete the IP and make a new one"
	V4IPAddress string `json:"v4IpAddress"`
	// v6IpAddress is the IPv6 address, in lower case. Example:
	// "fd00:10:16::7". Immutable once set.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=39
	// +kubebuilder:validation:XValidation:rule="self == '' || (isIP(self) && ip(self).family() == 6)",message="must be an IPv6 address such as fd00:10:16::7"
	// +kubebuilder:validation:XValidation:rule="self == self.lowerAscii()",message="IPv6 must be written in lower case"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf || oldSelf == ''",message="cannot be changed: delete the IP and make a new one"
	V6IPAddress string `json:"v6IpAddress"`
	// macAddress of the interface. Example: "0a:58:0a:10:00:07". Default:
	// derived from the address. Immutable once set.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=17
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$')",message="must be a unicast MAC address such as 0a:58:0a:10:00:07"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf || oldSelf == ''",message="cannot be changed: delete the IP and make a new one"
	MacAddress string `json:"macAddress"`
	// containerID of the Pod's sandbox. Heddle does not write it.
	//
	// +optional
	ContainerID string `json:"containerID"`
	// podType is the kind of the Pod's owner where the address outlives the
	// Pod: StatefulSet or VirtualMachine.
	//
	// +optional
	PodType string `json:"podType"`
	// attachIps is always empty; Kube-OVN's tools expect it.
	//
	// +optional
	// +listType=atomic
	AttachIPs []string `json:"attachIps,omitzero"`
	// attachMacs is always empty; Kube-OVN's tools expect it.
	//
	// +optional
	// +listType=atomic
	AttachMacs []string `json:"attachMacs,omitzero"`
	// attachSubnets is always empty; Kube-OVN's tools expect it.
	//
	// +optional
	// +listType=atomic
	AttachSubnets []string `json:"attachSubnets,omitzero"`
}

// IPList is a list of IPs.
//
// +kubebuilder:object:root=true
type IPList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []IP `json:"items"`
}
