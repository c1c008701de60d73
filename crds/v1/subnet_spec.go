package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SubnetSpec is the Subnet as the user wants it. The rules here are those
// that concern several fields, or the old value of an optional one; the
// rules of a single field stand on the field.
//
// An empty string always means the same as an absent field, because
// Kube-OVN writes fields that it does not use as empty strings.
//
// +kubebuilder:validation:XValidation:rule=`(has(self.cidrBlock) && self.cidrBlock != "") || (has(self.vlan) && self.vlan != "")`,fieldPath=.cidrBlock,reason=FieldValueRequired,message="a Subnet needs a CIDR, such as 10.16.0.0/16; only an underlay Subnet (spec.vlan is set) may go without"
// +kubebuilder:validation:XValidation:rule=`!has(oldSelf.cidrBlock) || oldSelf.cidrBlock == "" || has(self.cidrBlock)`,fieldPath=.cidrBlock,message="cannot be removed: make a new Subnet instead"
// +kubebuilder:validation:XValidation:rule=`!has(self.gateway) || self.gateway == "" || !has(self.cidrBlock) || self.gateway.split(',').all(g, !isIP(g) || self.cidrBlock.split(',').exists(c, !isCIDR(c) || cidr(c).containsIP(g)))`,fieldPath=.gateway,messageExpression="'must be inside spec.cidrBlock, but ' + self.gateway + ' is not in ' + self.cidrBlock"
// +kubebuilder:validation:XValidation:rule=`!has(self.gateway) || self.gateway == "" || !has(self.cidrBlock) || !self.gateway.split(',').exists(g, isIP(g) && ip(g) in self.cidrBlock.split(',').filter(c, isCIDR(c) && cidr(c).prefixLength() < (c.contains(":") ? 127 : 31)).map(c, cidr(c).masked().ip()))`,fieldPath=.gateway,messageExpression="'must not be the network address of spec.cidrBlock, as ' + self.gateway + ' is in ' + self.cidrBlock"
// +kubebuilder:validation:XValidation:rule=`!has(self.protocol) || self.protocol == "" || !has(self.cidrBlock) || self.cidrBlock == "" || self.protocol == (!self.cidrBlock.contains(':') ? 'IPv4' : self.cidrBlock.contains(',') ? 'Dual' : 'IPv6')`,fieldPath=.protocol,messageExpression="'does not match spec.cidrBlock ' + self.cidrBlock + '; leave it out, it is derived'"
// +kubebuilder:validation:XValidation:rule="!has(self.mtu) || self.mtu >= 1280 || !has(self.cidrBlock) || !self.cidrBlock.contains(':')",fieldPath=.mtu,message="must be at least 1280 when spec.cidrBlock has IPv6 (RFC 8200, section 5)"
// +kubebuilder:validation:XValidation:rule=`(has(self.vpc) ? self.vpc : "") == (has(oldSelf.vpc) ? oldSelf.vpc : "") || ((!has(oldSelf.vpc) || oldSelf.vpc == "") && self.vpc == 'ovn-cluster')`,fieldPath=.vpc,message="cannot be changed, except from empty to ovn-cluster: make a new Subnet instead"
// +kubebuilder:validation:XValidation:rule=`!has(self.natOutgoing) || !self.natOutgoing || !has(self.externalEgressGateway) || self.externalEgressGateway == ""`,fieldPath=.externalEgressGateway,message="excludes spec.natOutgoing: set one of the two"
// +kubebuilder:validation:XValidation:rule="!has(self.logicalGateway) || !self.logicalGateway || !has(self.u2oInterconnection) || !self.u2oInterconnection",fieldPath=.logicalGateway,message="excludes spec.u2oInterconnection: set one of the two"
// +kubebuilder:validation:XValidation:rule=`!has(self.u2oFeatures) || !has(self.u2oFeatures.overlayOnlyRouting) || !self.u2oFeatures.overlayOnlyRouting || (has(self.u2oInterconnection) && self.u2oInterconnection && has(self.vlan) && self.vlan != "")`,fieldPath=.u2oFeatures,message="overlayOnlyRouting needs spec.u2oInterconnection and spec.vlan"
// +kubebuilder:validation:XValidation:rule=`!has(self.u2oInterconnectionIP) || self.u2oInterconnectionIP == "" || !has(self.cidrBlock) || self.u2oInterconnectionIP.split(',').all(i, !isIP(i) || self.cidrBlock.split(',').exists(c, !isCIDR(c) || cidr(c).containsIP(i)))`,fieldPath=.u2oInterconnectionIP,messageExpression="'must be inside spec.cidrBlock, but ' + self.u2oInterconnectionIP + ' is not in ' + self.cidrBlock"
// +kubebuilder:validation:XValidation:rule=`!has(self.u2oInterconnectionIP) || self.u2oInterconnectionIP == "" || !has(self.gateway) || self.u2oInterconnectionIP.split(',').all(i, !(i in self.gateway.split(',')))`,fieldPath=.u2oInterconnectionIP,message="must differ from spec.gateway"
// +kubebuilder:validation:XValidation:rule="!has(self.vips) || !has(self.cidrBlock) || self.vips.all(v, !isIP(v) || self.cidrBlock.split(',').exists(c, !isCIDR(c) || cidr(c).containsIP(v)))",fieldPath=.vips,messageExpression="'every address must be inside spec.cidrBlock ' + self.cidrBlock"
// +kubebuilder:validation:XValidation:rule="!has(self.provider) || self.provider != 'l2.heddle.dev' || ((!has(self.natOutgoing) || !self.natOutgoing) && (!has(self.default) || !self.default) && (!has(self.namespaces) || self.namespaces.size() == 0) && (!has(self.namespaceSelectors) || self.namespaceSelectors.size() == 0))",fieldPath=.provider,message="l2.heddle.dev gives addresses to Services only, no Pod is in such a Subnet: leave out natOutgoing, default, namespaces and namespaceSelectors"
type SubnetSpec struct {
	// cidrBlock is the range that Pod addresses come from: "10.16.0.0/16",
	// "fd00:10:16::/112", or one of each as "10.16.0.0/16,fd00:10:16::/112"
	// (IPv4 first) for dual-stack. It may not overlap another Subnet of the
	// same Vpc, the Service CIDR, the join Subnet or the nodes' addresses; /32
	// and /128 are refused. Immutable.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self == '' || self.split(',').all(c, isCIDR(c))",message="must be a CIDR such as 10.16.0.0/16, or an IPv4 and an IPv6 CIDR such as 10.16.0.0/16,fd00:10:16::/112"
	// +kubebuilder:validation:XValidation:rule="self == self.lowerAscii()",message="IPv6 must be written in lower case"
	// +kubebuilder:validation:XValidation:rule="self.split(',').size() == 1 || !self.split(',').all(c, isCIDR(c)) || self.split(',').map(c, cidr(c).ip().family()) == [4, 6]",message="two CIDRs must be one IPv4 and one IPv6 CIDR, in this order"
	// +kubebuilder:validation:XValidation:rule="!self.matches('[.][0-9]+/32(,|$)|/128(,|$)')",message="a /32 or /128 has no room for a gateway and a Pod"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf || oldSelf == '' || ((self + ',' + oldSelf).split(',').all(c, isCIDR(c)) && self.split(',').map(c, cidr(c).masked()) == oldSelf.split(',').map(c, cidr(c).masked()))",message="cannot be changed: make a new Subnet instead"
	CIDRBlock string `json:"cidrBlock,omitempty"`
	// gateway is the address of the router in this Subnet, inside cidrBlock:
	// "10.16.0.1", "fd00:10:16::1", or "10.16.0.1,fd00:10:16::1". Default: the
	// first usable address of each family. It is never given to a Pod.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self == '' || self.split(',').all(g, isIP(g))",message="must be an IP address such as 10.16.0.1, or an IPv4 and an IPv6 address such as 10.16.0.1,fd00:10:16::1"
	// +kubebuilder:validation:XValidation:rule="self == self.lowerAscii()",message="IPv6 must be written in lower case"
	// +kubebuilder:validation:XValidation:rule="self.split(',').size() == 1 || !self.split(',').all(g, isIP(g)) || self.split(',').map(g, ip(g).family()) == [4, 6]",message="two addresses must be one IPv4 and one IPv6 address, in this order"
	Gateway string `json:"gateway,omitempty"`
	// excludeIps are addresses that are never given to Pods unless a Pod asks
	// for one by annotation: single ones, "10.16.0.5", or ranges with both
	// ends included, "10.16.0.10..10.16.0.20". The gateway is always excluded
	// and need not be listed.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	// +kubebuilder:validation:items:MaxLength=80
	// +kubebuilder:validation:items:XValidation:rule="self.contains('..') ? isIP(self.substring(0, self.indexOf('..'))) && isIP(self.substring(self.indexOf('..') + 2)) : isIP(self)",message="must be an IP address such as 10.16.0.5, or a range such as 10.16.0.10..10.16.0.20"
	// +kubebuilder:validation:items:XValidation:rule="self == self.lowerAscii()",message="IPv6 must be written in lower case"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^[0-9.]+[.][.].*:|:.*[.][.][0-9.]+$')",message="both ends of a range must be of one family"
	ExcludeIps []string `json:"excludeIps,omitempty"`
	// protocol is IPv4, IPv6, Dual or Mac (an underlay Subnet without a CIDR).
	// It is derived from cidrBlock; leave it out.
	//
	// +optional
	// +kubebuilder:validation:Enum="";IPv4;IPv6;Dual;Mac
	Protocol Protocol `json:"protocol,omitempty"`
	// default makes this the Subnet of the Pods of all Namespaces that no
	// other Subnet claims. At most one Subnet has it.
	//
	// +optional
	Default bool `json:"default,omitempty"`
	// mtu of the Pods' interfaces, in bytes. Default: the MTU of the node's
	// uplink less 100, which is what the tunnel between nodes needs. At least
	// 1280 with IPv6. Example: 1400.
	//
	// +optional
	// +kubebuilder:validation:Minimum=68
	// +kubebuilder:validation:Maximum=65535
	Mtu int32 `json:"mtu,omitempty"`

	// vpc names the Vpc, the virtual router, that this Subnet is connected to.
	// Default: ovn-cluster, the router that all nodes are connected to. Only a
	// change from empty to ovn-cluster is allowed later.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Vpc string `json:"vpc,omitempty"`
	// provider says who carries the packets: "ovn" for an OVN logical switch,
	// "<nad>.<namespace>.ovn" for a secondary interface in OVN; with any other
	// value only addresses are given out: with "l2.heddle.dev" those of the
	// nodes' own network, to Services of type LoadBalancer. Immutable. Only ovn
	// and l2.heddle.dev are supported yet: a Subnet with another one is not
	// Ready.
	//
	// +optional
	// +kubebuilder:default=ovn
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?)?$')",message="must be ovn, <nad>.<namespace>.ovn or <nad>.<namespace>"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf || (oldSelf == '' && self == 'ovn')",message="cannot be changed: make a new Subnet instead"
	Provider string `json:"provider,omitempty"`
	// namespaces lists the Namespaces whose Pods get their addresses here.
	// Example: [blue, green].
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespaces []string `json:"namespaces,omitempty"`
	// namespaceSelectors choose, by label, further Namespaces whose Pods get
	// their addresses here. A Namespace that matches one of them is chosen.
	// Example: [{matchLabels: {team: a}}].
	//
	// +optional
	// +listType=atomic
	NamespaceSelectors []metav1.LabelSelector `json:"namespaceSelectors,omitempty"`

	// gatewayType says where traffic to the outside leaves the overlay:
	// "distributed", each Pod by its own node, or "centralized", all Pods by
	// the nodes in gatewayNode. Only distributed is supported yet: a
	// centralized Subnet is not Ready.
	//
	// +optional
	// +kubebuilder:default=distributed
	// +kubebuilder:validation:Enum="";distributed;centralized
	GatewayType GatewayType `json:"gatewayType,omitempty"`
	// natOutgoing lets packets that leave the cluster carry the node's address
	// instead of the Pod's. Without it the network outside must know a way
	// back to cidrBlock. Default: false. Excludes externalEgressGateway.
	//
	// +optional
	NatOutgoing bool `json:"natOutgoing,omitempty"`
	// disableGatewayCheck switches off the test that the gateway answers,
	// before a Pod starts. Heddle makes no such test in overlay Subnets, so it
	// changes nothing there.
	//
	// +optional
	DisableGatewayCheck bool `json:"disableGatewayCheck,omitempty"`

	SubnetGatewaySpec  `json:",inline"`
	SubnetSecuritySpec `json:",inline"`
	SubnetLinkSpec     `json:",inline"`
}
