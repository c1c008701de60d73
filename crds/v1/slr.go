package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SwitchLBRule is a load balancer for the Pods of a Vpc: what is sent to
// its address goes to Pods that a selector chooses, or to addresses of your
// own. Endpoints are asked whether they serve; one that does not answer gets
// no new connections until it does again.
//
// The address may lie in a Subnet if nobody has it there; it is then
// reserved for as long as there is the rule.
//
// Example: what is sent to 10.16.0.99, port 80, goes to port 8080 of the
// Pods of the Namespace blue with the label app: web:
//
//	apiVersion: kubeovn.io/v1
//	kind: SwitchLBRule
//	metadata:
//	  name: web
//	spec:
//	  vip: 10.16.0.99
//	  namespace: blue
//	  selector: ["app:web"]
//	  ports:
//	    - {name: http, port: 80, targetPort: 8080, protocol: TCP}
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=switch-lb-rules,singular=switch-lb-rule,shortName=slr,scope=Cluster
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="vip",type=string,JSONPath=`.spec.vip`
// +kubebuilder:printcolumn:name="port(s)",type=string,JSONPath=`.status.ports`
// +kubebuilder:printcolumn:name="service",type=string,JSONPath=`.status.service`
// +kubebuilder:printcolumn:name="age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 59",message="metadata.name must be lower case letters, digits and '-', 59 characters at most: the Service slr-<name> is made from it"
type SwitchLBRule struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the rule as the user wants it.
	Spec SwitchLBRuleSpec `json:"spec"`
	// status is what the controller reports about it.
	// +optional
	Status SwitchLBRuleStatus `json:"status,omitempty"`
}

// SwitchLBRuleList is a list of SwitchLBRules.
//
// +kubebuilder:object:root=true
type SwitchLBRuleList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []SwitchLBRule `json:"items"`
}

// SwitchLBRuleSpec is the rule as the user wants it: one or two addresses,
// their ports, and either a selector or endpoints.
//
// +kubebuilder:validation:XValidation:rule="(has(self.selector) && size(self.selector) > 0) != (has(self.endpoints) && size(self.endpoints) > 0)",message="set either selector or endpoints, not both"
// +kubebuilder:validation:XValidation:rule="!has(self.endpoints) || !self.vip.split(',').all(v, isIP(v)) || self.endpoints.all(e, !isIP(e) || self.vip.split(',').exists(v, v.contains(':') == e.contains(':')))",fieldPath=.endpoints,message="each endpoint must be of a family that vip has: IPv4 or IPv6"
type SwitchLBRuleSpec struct {
	// vip is the address that clients use, IPv4, IPv6 or both: "10.16.0.99" or
	// "10.16.0.99,fd00:10:16::99". It may lie in a Subnet of the Vpc, if
	// nobody has it there, or outside of all.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.split(',').all(i, isIP(i))",message="must be an IP address such as 10.16.0.99, or an IPv4 and an IPv6 address such as 10.16.0.99,fd00:10:16::99"
	// +kubebuilder:validation:XValidation:rule="self.split(',').size() == 1 || !self.split(',').all(i, isIP(i)) || self.split(',').map(i, ip(i).family()) == [4, 6]",message="two addresses must be one IPv4 and one IPv6 address, in this order"
	// +kubebuilder:validation:XValidation:rule="!self.split(',').all(i, isIP(i)) || self.split(',').all(i, ip(i).isGlobalUnicast())",message="must not be a loopback, link-local, multicast or broadcast address"
	VIP string `json:"vip"`
	// namespace of the Pods that selector chooses, and of the Service
	// slr-<name> that lists the endpoints.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace"`
	// selector chooses the Pods that serve, by all of these labels, as
	// "key:value". Those that are ready get connections. Example: ["app:web"].
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=384
	// +kubebuilder:validation:items:Pattern=`^ *([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])? *: *([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)? *$`
	// +kubebuilder:validation:XValidation:rule="self.all(s, self.exists_one(o, o.split(':')[0].trim() == s.split(':')[0].trim()))",message="must not have a key twice"
	Selector []string `json:"selector,omitempty"`
	// endpoints are the addresses that serve, of Pods or of anything that Pods
	// reach. Those of Pods are asked whether they serve, others are taken at
	// your word. Example: ["10.16.0.7", "10.16.0.8"].
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=39
	// +kubebuilder:validation:XValidation:rule="self.all(e, isIP(e) && ip(e).isGlobalUnicast())",message="must be IP addresses such as 10.16.0.7, not loopback, link-local, multicast or broadcast ones"
	Endpoints []string `json:"endpoints,omitempty"`
	// sessionAffinity ClientIP leads all connections of a client to the same
	// endpoint, for as long as the endpoints stay what they are. Default: None.
	//
	// +optional
	// +kubebuilder:validation:Enum="";None;ClientIP
	SessionAffinity string `json:"sessionAffinity,omitempty"`
	// ports of the vip.
	//
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="size(self) == 1 || self.all(p, has(p.name) && p.name != '')",message="each must have a name where there are several"
	// +kubebuilder:validation:XValidation:rule="self.all(p, !has(p.name) || self.exists_one(o, has(o.name) && o.name == p.name))",message="must not have a name twice"
	// +kubebuilder:validation:XValidation:rule="self.all(p, self.exists_one(o, o.port == p.port && (has(o.protocol) && o.protocol != '' ? o.protocol : 'TCP') == (has(p.protocol) && p.protocol != '' ? p.protocol : 'TCP')))",message="must not have a port of a protocol twice"
	Ports []SwitchLBRulePort `json:"ports"`
}

// SwitchLBRulePort is one port of the vip.
type SwitchLBRulePort struct {
	// name of the port; may be left out where there is only one.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$`
	Name string `json:"name,omitempty"`
	// port of the vip that clients use.
	//
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
	// targetPort is the port of the endpoints. Default: the same as port.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	TargetPort int32 `json:"targetPort,omitempty"`
	// protocol: TCP, UDP or SCTP. Default: TCP.
	//
	// +optional
	// +kubebuilder:validation:Enum="";TCP;UDP;SCTP
	Protocol string `json:"protocol,omitempty"`
}

// SwitchLBRuleStatus is what the controller reports about a SwitchLBRule.
type SwitchLBRuleStatus struct {
	// conditions: Ready is True when the rule is in force as it is written;
	// otherwise its reason and message say why not.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []Condition `json:"conditions,omitempty"`
	// ports as "80/TCP,53/UDP".
	// +optional
	Ports string `json:"ports,omitempty"`
	// service that lists the endpoints: "blue/slr-web".
	// +optional
	Service string `json:"service,omitempty"`
}

// SwitchLBRulePrefix and the name of a SwitchLBRule give the name of its Service.
const SwitchLBRulePrefix = "slr-"

// ServiceName is the name of the Service that lists the endpoints of a rule.
func (r *SwitchLBRule) ServiceName() string { return SwitchLBRulePrefix + r.Name }
