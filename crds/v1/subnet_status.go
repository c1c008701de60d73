package v1

// SubnetStatus is what the controller reports about a Subnet. Counts are
// numbers of addresses; those of IPv6 may exceed 63 bits and are then
// rounded to 17 digits.
type SubnetStatus struct {
	// conditions: Ready is True when the Subnet is in force as it is written;
	// otherwise its reason and message say why not.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []Condition `json:"conditions,omitempty"`

	// v4availableIPs is the number of free IPv4 addresses, those in excludeIps
	// not counted.
	// +optional
	V4AvailableIPs BigInt `json:"v4availableIPs"`
	// v4availableIPrange are the free IPv4 addresses:
	// "10.16.0.2-10.16.0.6,10.16.0.8-10.16.255.254".
	// +optional
	V4AvailableIPRange string `json:"v4availableIPrange,omitempty"`
	// v4usingIPs is the number of IPv4 addresses that have an IP object.
	// +optional
	V4UsingIPs BigInt `json:"v4usingIPs"`
	// v4usingIPrange are the IPv4 addresses in use: "10.16.0.7".
	// +optional
	V4UsingIPRange string `json:"v4usingIPrange,omitempty"`
	// v6availableIPs is the number of free IPv6 addresses, those in excludeIps
	// not counted.
	// +optional
	V6AvailableIPs BigInt `json:"v6availableIPs"`
	// v6availableIPrange are the free IPv6 addresses:
	// "fd00:10:16::2-fd00:10:16::fffe".
	// +optional
	V6AvailableIPRange string `json:"v6availableIPrange,omitempty"`
	// v6usingIPs is the number of IPv6 addresses that have an IP object.
	// +optional
	V6UsingIPs BigInt `json:"v6usingIPs"`
	// v6usingIPrange are the IPv6 addresses in use: "fd00:10:16::7".
	// +optional
	V6UsingIPRange string `json:"v6usingIPrange,omitempty"`

	// activateGateway is the node that a centralized Subnet leaves by at the
	// moment.
	// +optional
	ActivateGateway string `json:"activateGateway,omitempty"`
	// dhcpV4OptionsUUID is the row of OVN's DHCP_Options for IPv4.
	// +optional
	DHCPv4OptionsUUID string `json:"dhcpV4OptionsUUID,omitempty"`
	// dhcpV6OptionsUUID is the row of OVN's DHCP_Options for IPv6.
	// +optional
	DHCPv6OptionsUUID string `json:"dhcpV6OptionsUUID,omitempty"`
	// u2oInterconnectionIP is the address of the Vpc's router in this underlay
	// Subnet.
	// +optional
	U2OInterconnectionIP string `json:"u2oInterconnectionIP,omitempty"`
	// u2oInterconnectionMAC is the MAC address of the Vpc's router in this
	// underlay Subnet.
	// +optional
	U2OInterconnectionMAC string `json:"u2oInterconnectionMAC,omitempty"`
	// u2oInterconnectionVPC is the Vpc that this underlay Subnet is connected
	// to.
	// +optional
	U2OInterconnectionVPC string `json:"u2oInterconnectionVPC,omitempty"`
	// mcastQuerierIP is the source address of OVN's IGMP queries.
	// +optional
	McastQuerierIP string `json:"mcastQuerierIP,omitempty"`
	// mcastQuerierMAC is the source MAC address of OVN's IGMP queries.
	// +optional
	McastQuerierMAC string `json:"mcastQuerierMAC,omitempty"`
	// natOutgoingPolicyRules are the rules of the spec with the identity that
	// the nodes know them by.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	NatOutgoingPolicyRules []NatOutgoingPolicyRuleStatus `json:"natOutgoingPolicyRules,omitempty"`
}

// NatOutgoingPolicyRuleStatus is a rule in force.
type NatOutgoingPolicyRuleStatus struct {
	// ruleID is the first 12 hexadecimal digits of a SHA-256 over the Subnet,
	// the rule's place and the rule.
	//
	// +optional
	RuleID string `json:"ruleID,omitempty"`

	NatOutgoingPolicyRule `json:",inline"`
}
