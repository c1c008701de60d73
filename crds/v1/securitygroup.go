package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SecurityGroup says what reaches the Pods that bind themselves to it, by
// the annotation ovn.kubernetes.io/security_groups, and what these reach.
// Nothing else gets through to a Pod that has a group, or from it: not even
// where the group that it names does not exist.
//
// Example: everybody reaches port 443, Pods of the group reach each other
// and everything outside:
//
//	apiVersion: kubeovn.io/v1
//	kind: SecurityGroup
//	metadata:
//	  name: web
//	spec:
//	  allowSameGroupTraffic: true
//	  ingressRules:
//	    - {ipVersion: ipv4, protocol: tcp, priority: 1, remoteType: address, remoteAddress: 0.0.0.0/0, portRangeMin: 443, portRangeMax: 443, policy: allow}
//	  egressRules:
//	    - {ipVersion: ipv4, protocol: all, priority: 1, remoteType: address, remoteAddress: 0.0.0.0/0, policy: allow}
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=security-groups,singular=security-group,shortName=sg,scope=Cluster
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Tier",type=integer,JSONPath=`.spec.tier`
// +kubebuilder:printcolumn:name="SameGroup",type=boolean,JSONPath=`.spec.allowSameGroupTraffic`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="PortGroup",type=string,JSONPath=`.status.portGroup`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type SecurityGroup struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the group as the user wants it.
	//
	// +optional
	Spec SecurityGroupSpec `json:"spec,omitempty"`
	// status is what the controller reports about it.
	// +optional
	Status SecurityGroupStatus `json:"status,omitempty"`
}

// SecurityGroupList is a list of SecurityGroups.
//
// +kubebuilder:object:root=true
type SecurityGroupList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []SecurityGroup `json:"items"`
}

// SecurityGroupSpec is the group as the user wants it.
//
// +kubebuilder:validation:XValidation:rule="!has(self.tier) || self.tier == 0 || ((!has(self.ingressRules) || self.ingressRules.all(r, r.policy != 'pass')) && (!has(self.egressRules) || self.egressRules.all(r, r.policy != 'pass')))",fieldPath=.tier,message="a rule with the policy pass needs tier 0: behind tier 1 nothing decides"
type SecurityGroupSpec struct {
	// ingressRules decide about connections to the Pods. Of those that match,
	// the one with the smallest priority counts.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=512
	IngressRules []SecurityGroupRule `json:"ingressRules,omitempty"`
	// egressRules decide about connections of the Pods.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=512
	EgressRules []SecurityGroupRule `json:"egressRules,omitempty"`
	// allowSameGroupTraffic lets the Pods of the group reach each other, where
	// no rule drops it. Default: false.
	//
	// +optional
	AllowSameGroupTraffic bool `json:"allowSameGroupTraffic,omitempty"`
	// tier 0 decides beside NetworkPolicies, and before them where both decide
	// about a Pod; tier 1 decides what neither these nor groups of tier 0
	// have, or what a rule passes. Default: 0.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1
	Tier int32 `json:"tier,omitempty"`
}

// SecurityGroupIPVersion is a family of addresses.
type SecurityGroupIPVersion string

// The values of ipVersion.
const (
	SecurityGroupIPv4 SecurityGroupIPVersion = "ipv4"
	SecurityGroupIPv6 SecurityGroupIPVersion = "ipv6"
)

// SecurityGroupProtocol is a protocol, or all of them.
type SecurityGroupProtocol string

// The values of protocol.
const (
	SecurityGroupAll  SecurityGroupProtocol = "all"
	SecurityGroupICMP SecurityGroupProtocol = "icmp"
	SecurityGroupTCP  SecurityGroupProtocol = "tcp"
	SecurityGroupUDP  SecurityGroupProtocol = "udp"
	SecurityGroupSCTP SecurityGroupProtocol = "sctp"
)

// SecurityGroupRemoteType says how a rule names the other side.
type SecurityGroupRemoteType string

// The values of remoteType.
const (
	SecurityGroupRemoteAddress SecurityGroupRemoteType = "address"
	SecurityGroupRemoteGroup   SecurityGroupRemoteType = "securityGroup"
)

// SecurityGroupPolicy is what becomes of a connection.
type SecurityGroupPolicy string

// The values of policy.
const (
	SecurityGroupAllow SecurityGroupPolicy = "allow"
	SecurityGroupDrop  SecurityGroupPolicy = "drop"
	// SecurityGroupPass leaves it to tier 1.
	SecurityGroupPass SecurityGroupPolicy = "pass"
)

// SecurityGroupRule decides about some connections of one family.
//
// +kubebuilder:validation:XValidation:rule="self.remoteType != 'address' || (has(self.remoteAddress) && (isIP(self.remoteAddress) || isCIDR(self.remoteAddress)))",fieldPath=.remoteAddress,message="must be an address such as 10.16.0.7, or a CIDR such as 10.16.0.0/16"
// +kubebuilder:validation:XValidation:rule="self.remoteType != 'address' || !has(self.remoteAddress) || self.remoteAddress.contains(':') == (self.ipVersion == 'ipv6')",fieldPath=.remoteAddress,message="must be of the family that ipVersion says"
// +kubebuilder:validation:XValidation:rule="self.remoteType != 'securityGroup' || (has(self.remoteSecurityGroup) && size(self.remoteSecurityGroup) > 0)",fieldPath=.remoteSecurityGroup,message="must name a SecurityGroup, because remoteType is securityGroup"
// +kubebuilder:validation:XValidation:rule="!has(self.localAddress) || size(self.localAddress) == 0 || ((isIP(self.localAddress) || isCIDR(self.localAddress)) && self.localAddress.contains(':') == (self.ipVersion == 'ipv6'))",fieldPath=.localAddress,message="must be an address or a CIDR of the family that ipVersion says"
// +kubebuilder:validation:XValidation:rule="(has(self.portRangeMin) ? self.portRangeMin : 0) <= (has(self.portRangeMax) ? self.portRangeMax : 0) && ((has(self.portRangeMin) ? self.portRangeMin : 0) == 0) == ((has(self.portRangeMax) ? self.portRangeMax : 0) == 0)",fieldPath=.portRangeMin,message="portRangeMin and portRangeMax are set together, and must be a range"
// +kubebuilder:validation:XValidation:rule="(has(self.sourcePortRangeMin) ? self.sourcePortRangeMin : 0) <= (has(self.sourcePortRangeMax) ? self.sourcePortRangeMax : 0) && ((has(self.sourcePortRangeMin) ? self.sourcePortRangeMin : 0) == 0) == ((has(self.sourcePortRangeMax) ? self.sourcePortRangeMax : 0) == 0)",fieldPath=.sourcePortRangeMin,message="sourcePortRangeMin and sourcePortRangeMax are set together, and must be a range"
// +kubebuilder:validation:XValidation:rule="self.protocol in ['tcp', 'udp', 'sctp'] || ((has(self.portRangeMax) ? self.portRangeMax : 0) == 0 && (has(self.sourcePortRangeMax) ? self.sourcePortRangeMax : 0) == 0)",fieldPath=.protocol,message="must be tcp, udp or sctp where ports are set"
type SecurityGroupRule struct {
	// ipVersion is ipv4 or ipv6.
	//
	// +kubebuilder:validation:Enum=ipv4;ipv6
	IPVersion SecurityGroupIPVersion `json:"ipVersion"`
	// protocol is all, icmp (ICMPv6, with ipVersion ipv6), tcp, udp or sctp.
	//
	// +kubebuilder:validation:Enum=all;icmp;tcp;udp;sctp
	Protocol SecurityGroupProtocol `json:"protocol"`
	// priority from 1 to 16384. Of the rules that match, of all groups of a
	// Pod in one tier, the one with the smallest number counts. Which one of
	// several with the same number does, OVN does not say.
	//
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16384
	Priority int32 `json:"priority"`
	// remoteType says how the other side is named: address or securityGroup.
	//
	// +kubebuilder:validation:Enum=address;securityGroup
	RemoteType SecurityGroupRemoteType `json:"remoteType"`
	// remoteAddress is the other side's address, or a CIDR that it is in.
	// Example: 10.16.0.0/16; 0.0.0.0/0 is everybody.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	RemoteAddress string `json:"remoteAddress,omitempty"`
	// remoteSecurityGroup names the SecurityGroup whose Pods are the other
	// side. One that does not exist, or has no Pods, is nobody.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	RemoteSecurityGroup string `json:"remoteSecurityGroup,omitempty"`
	// localAddress is an address of the Pod, or a CIDR that it is in. Default:
	// every address.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	LocalAddress string `json:"localAddress,omitempty"`
	// portRangeMin is the first port that is connected to. Default: all ports.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	PortRangeMin int32 `json:"portRangeMin,omitempty"`
	// portRangeMax is the last one.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	PortRangeMax int32 `json:"portRangeMax,omitempty"`
	// sourcePortRangeMin is the first port that is connected from. Default:
	// all ports.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	SourcePortRangeMin int32 `json:"sourcePortRangeMin,omitempty"`
	// sourcePortRangeMax is the last one.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	SourcePortRangeMax int32 `json:"sourcePortRangeMax,omitempty"`
	// policy is allow, drop, or pass: tier 1 decides. Only rules of tier 0 can
	// pass.
	//
	// +kubebuilder:validation:Enum=allow;drop;pass
	Policy SecurityGroupPolicy `json:"policy"`
}

// SecurityGroupStatus is what the controller reports about a SecurityGroup.
type SecurityGroupStatus struct {
	// conditions: Ready is True when the group is in force as it is written;
	// otherwise its reason and message say why not.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []Condition `json:"conditions,omitempty"`
	// portGroup is the name of OVN's port group with the ports of its Pods.
	// +optional
	PortGroup string `json:"portGroup,omitempty"`
	// allowSameGroupTraffic that was seen last.
	// +optional
	AllowSameGroupTraffic bool `json:"allowSameGroupTraffic"`
	// ingressMd5 tells one list of ingressRules from another.
	// +optional
	IngressMd5 string `json:"ingressMd5,omitempty"`
	// egressMd5 tells one list of egressRules from another.
	// +optional
	EgressMd5 string `json:"egressMd5,omitempty"`
	// ingressLastSyncSuccess says that the ingressRules are in force.
	// +optional
	IngressLastSyncSuccess bool `json:"ingressLastSyncSuccess"`
	// egressLastSyncSuccess says that the egressRules are in force.
	// +optional
	EgressLastSyncSuccess bool `json:"egressLastSyncSuccess"`
}
