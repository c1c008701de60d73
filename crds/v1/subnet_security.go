package v1

// SubnetSecuritySpec is the part of SubnetSpec about who may talk to its
// Pods.
type SubnetSecuritySpec struct {
	// private drops packets to the Pods from everywhere but this Subnet, the
	// nodes and allowSubnets. What the Pods begin themselves is answered. A
	// NetworkPolicy, or a SecurityGroup of tier 0, decides first.
	// Default: false.
	//
	// +optional
	Private bool `json:"private,omitempty"`
	// allowSubnets lists CIDRs that may reach the Pods of a private Subnet.
	// Example: [10.17.0.0/16].
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self)",message="must be a CIDR such as 10.17.0.0/16"
	// +kubebuilder:validation:items:XValidation:rule="self == self.lowerAscii()",message="IPv6 must be written in lower case"
	AllowSubnets []string `json:"allowSubnets,omitempty"`
	// allowEWTraffic lets Pods of this Subnet reach each other whatever acls
	// of a priority below 1900 say. Default: false.
	//
	// +optional
	AllowEWTraffic bool `json:"allowEWTraffic,omitempty"`
	// acls are rows for OVN's ACL table, on the Subnet's switch, taken as they
	// are (ovn-nb(5), table ACL). A NetworkPolicy that isolates a Pod has the
	// priorities 2000 and 2001, private has 1000 and 1001.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	Acls []ACL `json:"acls,omitempty"`
}

// ACL is one row for OVN's ACL table.
type ACL struct {
	// direction is to-lport for packets to a Pod, from-lport for packets from
	// one, before a Service is taken for its endpoint.
	//
	// +required
	// +kubebuilder:validation:Enum=to-lport;from-lport
	Direction string `json:"direction"`
	// priority from 0 to 32767; of the ACLs that match, the one with the
	// highest number counts.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=32767
	Priority int32 `json:"priority,omitempty"`
	// match is an OVN expression (ovn-sb(5), Logical_Flow:match), read by OVN
	// alone: one that it cannot read matches nothing, and is in the log of
	// ovn-northd or ovn-controller. Example: "ip4.src == 10.17.0.0/16".
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16384
	Match string `json:"match"`
	// action is what happens to a packet that matches: allow, allow-related
	// (and its replies), allow-stateless (no connection tracking), drop,
	// reject or pass.
	//
	// +required
	// +kubebuilder:validation:Enum=allow;allow-related;allow-stateless;drop;reject;pass
	Action string `json:"action"`
}
