package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SubnetGatewaySpec is the part of SubnetSpec about ways out of the
// overlay that are not supported yet.
type SubnetGatewaySpec struct {
	// gatewayNode lists the nodes that a centralized Subnet leaves by, in
	// order of preference: "node1,node2"; "node1:192.0.2.7" gives the address
	// to use. Not supported yet: a Subnet that sets it is not Ready.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	GatewayNode string `json:"gatewayNode,omitempty"`
	// gatewayNodeSelectors choose the gateway nodes of a centralized Subnet by
	// label. Example: [{matchLabels: {role: gateway}}]. Not supported yet: a
	// Subnet that sets it is not Ready.
	//
	// +optional
	// +listType=atomic
	GatewayNodeSelectors []metav1.LabelSelector `json:"gatewayNodeSelectors,omitempty"`
	// enableEcmp uses all gateway nodes of a centralized Subnet at once
	// instead of the first that is alive. Default: false. Not supported yet: a
	// Subnet that sets it is not Ready.
	//
	// +optional
	EnableEcmp bool `json:"enableEcmp,omitempty"`
	// natOutgoingPolicyRules decide, for single sources and destinations,
	// whether natOutgoing applies; the first rule that matches counts. Not
	// supported yet: a Subnet that sets it is not Ready.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	NatOutgoingPolicyRules []NatOutgoingPolicyRule `json:"natOutgoingPolicyRules,omitempty"`
	// externalEgressGateway is the address of a router outside the cluster
	// that takes all traffic to the outside, one for each family:
	// "192.0.2.254" or "192.0.2.254,fd00::fe". Excludes natOutgoing. Not
	// supported yet: a Subnet that sets it is not Ready.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self == '' || self.split(',').all(g, isIP(g))",message="must be an IP address such as 192.0.2.254, or several separated by commas"
	// +kubebuilder:validation:XValidation:rule="self == self.lowerAscii()",message="IPv6 must be written in lower case"
	ExternalEgressGateway string `json:"externalEgressGateway,omitempty"`
	// policyRoutingPriority is the priority of the ip rule on the node that
	// sends traffic to externalEgressGateway; lower numbers come first.
	// Example: 1000. Not supported yet: a Subnet that sets it is not Ready.
	//
	// +optional
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=32765
	PolicyRoutingPriority uint32 `json:"policyRoutingPriority,omitempty"`
	// policyRoutingTableID is the number of the routing table on the node that
	// holds the route to externalEgressGateway; 252 to 255 belong to the
	// kernel. Example: 1000. Not supported yet: a Subnet that sets it is not
	// Ready.
	//
	// +optional
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	// +kubebuilder:validation:XValidation:rule="self < 252 || self > 255",message="252 to 255 are the kernel's own tables (compat, default, main, local)"
	PolicyRoutingTableID uint32 `json:"policyRoutingTableID,omitempty"`
	// logicalGateway lets OVN, and not the physical network, be the gateway of
	// an underlay Subnet. Default: false. Excludes u2oInterconnection. Not
	// supported yet: a Subnet that sets it is not Ready.
	//
	// +optional
	LogicalGateway bool `json:"logicalGateway,omitempty"`
	// disableInterConnection keeps cidrBlock from being announced to other
	// clusters. Heddle announces to none, so it is always in force.
	//
	// +optional
	DisableInterConnection bool `json:"disableInterConnection,omitempty"`
	// routeTable names the table of the Vpc's staticRoutes that applies to
	// packets from this Subnet. Default: the main table. Not supported yet: a
	// Subnet that sets it is not Ready.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	RouteTable string `json:"routeTable,omitempty"`
}

// SubnetLinkSpec is the part of SubnetSpec about services, DHCP, the
// physical network and other extras of layers 2 and 3.
type SubnetLinkSpec struct {
	// vlan names the Vlan object that makes this an underlay Subnet: Pods sit
	// directly in the physical network. Not supported yet: a Subnet that sets
	// it is not Ready.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Vlan string `json:"vlan,omitempty"`
	// nodeNetwork names the network of the nodes (annotation node_networks)
	// that tunnels of this Subnet use. Not supported yet: a Subnet that sets
	// it is not Ready.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	NodeNetwork string `json:"nodeNetwork,omitempty"`
	// enableLb lets Pods of this Subnet reach Services, which is the default.
	// With false they do not: packets to the address of a Service leave the
	// cluster like those to any other address.
	//
	// +optional
	EnableLb *bool `json:"enableLb,omitempty"`
	// vips are addresses of this Subnet that Pods may take over from one
	// another, such as those of keepalived. Example: [10.16.0.100]. Not
	// supported yet: a Subnet that sets it is not Ready.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:XValidation:rule="isIP(self)",message="must be an IP address such as 10.16.0.100"
	// +kubebuilder:validation:items:XValidation:rule="self == self.lowerAscii()",message="IPv6 must be written in lower case"
	Vips []string `json:"vips,omitempty"`
	// enableExternalLBAddress lets Services of type LoadBalancer be reached at
	// addresses of this underlay Subnet. Default: false. Not supported yet: a
	// Subnet that sets it is not Ready.
	//
	// +optional
	EnableExternalLBAddress bool `json:"enableExternalLBAddress,omitempty"`
	// enableDHCP lets OVN answer DHCP requests of the Pods (of virtual
	// machines, mostly). Default: false. Not supported yet: a Subnet that sets
	// it is not Ready.
	//
	// +optional
	EnableDHCP bool `json:"enableDHCP,omitempty"`
	// dhcpV4Options are DHCPv4 options in OVN's notation (ovn-nb(5), table
	// DHCP_Options). Example: "lease_time=3600,router=10.16.0.1". Not
	// supported yet: a Subnet that sets it is not Ready.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	DHCPv4Options string `json:"dhcpV4Options,omitempty"`
	// dhcpV6Options are DHCPv6 options in OVN's notation (ovn-nb(5), table
	// DHCP_Options). Example: "dns_server=fd00::53". Not supported yet: a
	// Subnet that sets it is not Ready.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	DHCPv6Options string `json:"dhcpV6Options,omitempty"`
	// enableIPv6RA lets the gateway send IPv6 router advertisements. Default:
	// false. Not supported yet: a Subnet that sets it is not Ready.
	//
	// +optional
	EnableIPv6RA bool `json:"enableIPv6RA,omitempty"`
	// ipv6RAConfigs are the settings of the router advertisements in OVN's
	// notation (ovn-nb(5), Logical_Router_Port:ipv6_ra_configs). Example:
	// "address_mode=slaac,send_periodic=true". Not supported yet: a Subnet
	// that sets it is not Ready.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	IPv6RAConfigs string `json:"ipv6RAConfigs,omitempty"`
	// enableMulticastSnoop sends multicast only to the Pods that have joined
	// the group. Default: false. Not supported yet: a Subnet that sets it is
	// not Ready.
	//
	// +optional
	EnableMulticastSnoop bool `json:"enableMulticastSnoop,omitempty"`
	// u2oInterconnection connects this underlay Subnet to the overlay Subnets
	// of its Vpc. Default: false. Excludes logicalGateway. Not supported yet:
	// a Subnet that sets it is not Ready.
	//
	// +optional
	U2OInterconnection bool `json:"u2oInterconnection,omitempty"`
	// u2oInterconnectionIP is the address of the Vpc's router in this underlay
	// Subnet, inside cidrBlock and different from gateway: "10.16.0.254" or
	// "10.16.0.254,fd00:10:16::fe". Default: any free one. Not supported yet:
	// a Subnet that sets it is not Ready.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self == '' || self.split(',').all(i, isIP(i))",message="must be an IP address such as 10.16.0.254, or an IPv4 and an IPv6 address such as 10.16.0.254,fd00:10:16::fe"
	// +kubebuilder:validation:XValidation:rule="self == self.lowerAscii()",message="IPv6 must be written in lower case"
	// +kubebuilder:validation:XValidation:rule="self.split(',').size() == 1 || !self.split(',').all(i, isIP(i)) || self.split(',').map(i, ip(i).family()) == [4, 6]",message="two addresses must be one IPv4 and one IPv6 address, in this order"
	U2OInterconnectionIP string `json:"u2oInterconnectionIP,omitempty"`
	// u2oFeatures are details of u2oInterconnection. Not supported yet: a
	// Subnet that sets one is not Ready.
	//
	// +optional
	U2OFeatures *U2OFeatures `json:"u2oFeatures,omitempty"`
}

// U2OFeatures are details of the connection between underlay and overlay.
type U2OFeatures struct {
	// overlayOnlyRouting sends only packets for overlay Subnets through the
	// Vpc's router, the others to the physical gateway. Needs
	// u2oInterconnection and vlan. Default: false.
	//
	// +optional
	OverlayOnlyRouting bool `json:"overlayOnlyRouting,omitempty"`
}

// NatOutgoingPolicyRule decides whether some packets to the outside get
// the node's address.
type NatOutgoingPolicyRule struct {
	// match says which packets; a rule without a match takes all of them.
	//
	// +optional
	Match NatOutGoingPolicyMatch `json:"match,omitempty"`
	// action is nat (the packet gets the node's address) or forward (it keeps
	// the Pod's).
	//
	// +optional
	// +kubebuilder:validation:Enum=nat;forward
	Action string `json:"action,omitempty"`
}

// NatOutGoingPolicyMatch chooses packets by their addresses.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.srcIPs) || self.srcIPs == "" || !has(self.dstIPs) || self.dstIPs == "" || self.srcIPs.contains(':') == self.dstIPs.contains(':')`,message="srcIPs and dstIPs must be of one family"
type NatOutGoingPolicyMatch struct {
	// srcIPs are addresses and CIDRs, separated by commas, one of which the
	// source must be in. Empty: any. Example: "10.16.0.5,10.16.8.0/24".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:Pattern=`^([0-9.]+(/[0-9]+)?(,[0-9.]+(/[0-9]+)?)*|[0-9a-f:]+(/[0-9]+)?(,[0-9a-f:]+(/[0-9]+)?)*)?$`
	SrcIPs string `json:"srcIPs,omitempty"`
	// dstIPs are addresses and CIDRs, separated by commas, one of which the
	// destination must be in. Empty: any. Example: "198.51.100.0/24".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:Pattern=`^([0-9.]+(/[0-9]+)?(,[0-9.]+(/[0-9]+)?)*|[0-9a-f:]+(/[0-9]+)?(,[0-9a-f:]+(/[0-9]+)?)*)?$`
	DstIPs string `json:"dstIPs,omitempty"`
}
