package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Vpc is a virtual router: Subnets of one Vpc reach each other, those of
// different ones do not. The Vpc ovn-cluster is made by the controller and
// has the nodes in it; other ones are not supported yet.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=vpcs,singular=vpc,shortName=vpc,scope=Cluster
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="EnableExternal",type=boolean,JSONPath=`.status.enableExternal`
// +kubebuilder:printcolumn:name="EnableBfd",type=boolean,JSONPath=`.status.enableBfd`
// +kubebuilder:printcolumn:name="Standby",type=boolean,JSONPath=`.status.standby`
// +kubebuilder:printcolumn:name="Subnets",type=string,JSONPath=`.status.subnets`
// +kubebuilder:printcolumn:name="ExtraExternalSubnets",type=string,JSONPath=`.status.extraExternalSubnets`
// +kubebuilder:printcolumn:name="Namespaces",type=string,JSONPath=`.spec.namespaces`
// +kubebuilder:printcolumn:name="DefaultSubnet",type=string,JSONPath=`.status.defaultLogicalSwitch`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Vpc struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the Vpc as the user wants it.
	// +optional
	Spec VpcSpec `json:"spec,omitempty"`
	// status is what the controller reports about it.
	// +optional
	Status VpcStatus `json:"status,omitempty"`
}

// VpcList is a list of Vpcs.
//
// +kubebuilder:object:root=true
type VpcList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Vpc `json:"items"`
}

// VpcSpec is the Vpc as the user wants it. None of its fields is supported
// yet: they are for Vpcs other than ovn-cluster, or for features that come
// later.
type VpcSpec struct {
	// namespaces lists the Namespaces whose Pods may be in this Vpc; the first
	// Subnet of the Vpc serves them unless defaultSubnet is set. Example:
	// [blue]. Not supported yet: a Vpc that sets it is not Ready.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespaces []string `json:"namespaces,omitempty"`
	// defaultSubnet names the Subnet of this Vpc that serves Pods of the
	// namespaces that no Subnet claims. Not supported yet: a Vpc that sets it
	// is not Ready.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	DefaultSubnet string `json:"defaultSubnet,omitempty"`
	// staticRoutes are routes of this router. Not supported yet: a Vpc that
	// sets it is not Ready.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	StaticRoutes []StaticRoute `json:"staticRoutes,omitempty"`
	// policyRoutes are rules of this router that come before its routes. Not
	// supported yet: a Vpc that sets it is not Ready.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	PolicyRoutes []PolicyRoute `json:"policyRoutes,omitempty"`
	// vpcPeerings connect this Vpc to others. Not supported yet: a Vpc that
	// sets it is not Ready.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1024
	VpcPeerings []VpcPeering `json:"vpcPeerings,omitempty"`
	// enableExternal connects this Vpc to the external network of the cluster.
	// Default: false. Not supported yet: a Vpc that sets it is not Ready.
	//
	// +optional
	EnableExternal bool `json:"enableExternal,omitempty"`
	// extraExternalSubnets lists further underlay Subnets that this Vpc is
	// connected to. Not supported yet: a Vpc that sets it is not Ready.
	//
	// +optional
	// +listType=atomic
	ExtraExternalSubnets []string `json:"extraExternalSubnets,omitempty"`
	// enableBfd watches the gateways of the external network by BFD (RFC
	// 5880). Default: false. Not supported yet: a Vpc that sets it is not
	// Ready.
	//
	// +optional
	EnableBfd bool `json:"enableBfd,omitempty"`
	// bfdPort is a port of this router that speaks BFD with egress gateways.
	// Not supported yet: a Vpc that enables it is not Ready.
	//
	// +optional
	BFDPort *BFDPort `json:"bfdPort,omitempty"`
}

// StaticRoute is one route of a Vpc.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.cidr) || !has(self.nextHopIP) || self.cidr == "" || self.nextHopIP == "" || self.cidr.contains(':') == self.nextHopIP.contains(':')`,fieldPath=.nextHopIP,message="must be of the same family as cidr"
type StaticRoute struct {
	// policy says what cidr is compared with: policyDst, the destination, or
	// policySrc, the source of a packet. Default: policyDst.
	//
	// +optional
	// +kubebuilder:validation:Enum="";policySrc;policyDst
	Policy string `json:"policy,omitempty"`
	// cidr that a packet must be in, or one address. Example: "0.0.0.0/0".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="isCIDR(self) || isIP(self)",message="must be a CIDR such as 0.0.0.0/0, or an IP address"
	// +kubebuilder:validation:XValidation:rule="self == self.lowerAscii()",message="IPv6 must be written in lower case"
	CIDR string `json:"cidr,omitempty"`
	// nextHopIP is the address of the router that gets the packet. Example:
	// "10.16.0.254".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="must be an IP address such as 10.16.0.254"
	// +kubebuilder:validation:XValidation:rule="self == self.lowerAscii()",message="IPv6 must be written in lower case"
	NextHopIP string `json:"nextHopIP,omitempty"`
	// ecmpMode says what to do with several routes of one cidr: normal, the
	// default (only one may be there), ecmp (share the load) or
	// ecmp_symmetric_reply (and replies take the way of the request).
	//
	// +optional
	// +kubebuilder:validation:Enum="";normal;ecmp;ecmp_symmetric_reply
	ECMPMode string `json:"ecmpMode,omitempty"`
	// bfdId is the row of OVN's BFD table that takes the route out of use
	// while nextHopIP is dead.
	//
	// +optional
	BfdID string `json:"bfdId,omitempty"`
	// routeTable that the route is in. Default: the main table.
	//
	// +optional
	RouteTable string `json:"routeTable,omitempty"`
}

// PolicyRoute is one rule of a Vpc.
//
// +kubebuilder:validation:XValidation:rule=`self.action == 'reroute' ? has(self.nextHopIP) && self.nextHopIP != "" : !has(self.nextHopIP) || self.nextHopIP == ""`,fieldPath=.nextHopIP,message="goes with the action reroute, and only with it"
type PolicyRoute struct {
	// priority from 0 to 32767; of the rules that match, the one with the
	// highest number counts.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=32767
	Priority int32 `json:"priority,omitempty"`
	// match is an OVN expression (ovn-sb(5), Logical_Flow:match). Example:
	// "ip4.src == 10.16.0.0/16".
	//
	// +kubebuilder:validation:MinLength=1
	Match string `json:"match"`
	// action is what happens to a packet that matches: allow (the routes
	// decide), drop, or reroute to nextHopIP.
	//
	// +kubebuilder:validation:Enum=allow;drop;reroute
	Action string `json:"action"`
	// nextHopIP are the addresses of the routers that share the packets,
	// separated by commas; only for the action reroute. Example:
	// "10.16.0.254".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^([0-9.]+(,[0-9.]+)*|[0-9a-f:]+(,[0-9a-f:]+)*)?$`
	NextHopIP string `json:"nextHopIP,omitempty"`
}

// VpcPeering connects two Vpcs.
type VpcPeering struct {
	// remoteVpc is the name of the other Vpc.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	RemoteVpc string `json:"remoteVpc"`
	// localConnectIP is this side's address with the length of the common
	// prefix: "169.254.0.1/30" or "169.254.0.1/30,fd00:a::1/64".
	//
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.split(',').all(c, isCIDR(c))",message="must be an address with a prefix length such as 169.254.0.1/30"
	// +kubebuilder:validation:XValidation:rule="self == self.lowerAscii()",message="IPv6 must be written in lower case"
	LocalConnectIP string `json:"localConnectIP"`
}

// BFDPort is a port of a Vpc's router that speaks BFD.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.enabled) || !self.enabled || (has(self.ip) && self.ip != "")`,fieldPath=.ip,reason=FieldValueRequired,message="an enabled BFD port needs an address"
type BFDPort struct {
	// enabled makes the port. Default: false.
	//
	// +optional
	// +kubebuilder:default=false
	Enabled bool `json:"enabled"`
	// ip of the port: "10.255.255.255" or "10.255.255.255,fdff::1".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self == '' || self.split(',').all(i, isIP(i))",message="must be an IP address such as 10.255.255.255, or an IPv4 and an IPv6 address such as 10.255.255.255,fdff::1"
	// +kubebuilder:validation:XValidation:rule="self == self.lowerAscii()",message="IPv6 must be written in lower case"
	IP string `json:"ip,omitempty"`
	// nodeSelector chooses the nodes that the port may live on. Default: all.
	//
	// +optional
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`
}

// VpcStatus is what the controller reports about a Vpc.
type VpcStatus struct {
	// conditions: Ready is True when the Vpc is in force as it is written;
	// otherwise its reason and message say why not.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []Condition `json:"conditions,omitempty"`
	// standby is true once the router exists in OVN.
	// +optional
	Standby bool `json:"standby"`
	// default is true for the Vpc that has the nodes in it.
	// +optional
	Default bool `json:"default"`
	// defaultLogicalSwitch is the Subnet that serves Pods which no Subnet
	// claims.
	// +optional
	DefaultLogicalSwitch string `json:"defaultLogicalSwitch,omitempty"`
	// router is the name of the OVN logical router.
	// +optional
	Router string `json:"router,omitempty"`
	// tcpLoadBalancer is the OVN load balancer of TCP Services.
	// +optional
	TCPLoadBalancer string `json:"tcpLoadBalancer,omitempty"`
	// udpLoadBalancer is the OVN load balancer of UDP Services.
	// +optional
	UDPLoadBalancer string `json:"udpLoadBalancer,omitempty"`
	// sctpLoadBalancer is the OVN load balancer of SCTP Services.
	// +optional
	SctpLoadBalancer string `json:"sctpLoadBalancer,omitempty"`
	// tcpSessionLoadBalancer is the OVN load balancer of TCP Services with
	// session affinity.
	// +optional
	TCPSessionLoadBalancer string `json:"tcpSessionLoadBalancer,omitempty"`
	// udpSessionLoadBalancer is the OVN load balancer of UDP Services with
	// session affinity.
	// +optional
	UDPSessionLoadBalancer string `json:"udpSessionLoadBalancer,omitempty"`
	// sctpSessionLoadBalancer is the OVN load balancer of SCTP Services with
	// session affinity.
	// +optional
	SctpSessionLoadBalancer string `json:"sctpSessionLoadBalancer,omitempty"`
	// subnets are the Subnets of this Vpc, by name.
	//
	// +optional
	// +listType=atomic
	Subnets []string `json:"subnets,omitzero"`
	// vpcPeerings are the Vpcs that this one is connected to.
	//
	// +optional
	// +listType=atomic
	VpcPeerings []string `json:"vpcPeerings,omitzero"`
	// enableExternal is true while this Vpc is connected to the external
	// network.
	// +optional
	EnableExternal bool `json:"enableExternal"`
	// extraExternalSubnets are the further underlay Subnets that this Vpc is
	// connected to.
	//
	// +optional
	// +listType=atomic
	ExtraExternalSubnets []string `json:"extraExternalSubnets,omitzero"`
	// enableBfd is true while the external gateways are watched.
	// +optional
	EnableBfd bool `json:"enableBfd"`
	// bfdPort is the BFD port as it exists.
	//
	// +optional
	BFDPort BFDPortStatus `json:"bfdPort,omitzero"`
}

// BFDPortStatus is the BFD port of a Vpc as it exists.
type BFDPortStatus struct {
	// name of the OVN logical router port.
	// +optional
	Name string `json:"name,omitempty"`
	// ip of the port.
	// +optional
	IP string `json:"ip,omitempty"`
	// nodes that the port may live on, the preferred one first.
	//
	// +optional
	// +listType=atomic
	Nodes []string `json:"nodes,omitempty"`
}
