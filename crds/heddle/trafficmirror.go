package heddle

import (
	"fmt"
	"hash/fnv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// TrafficMirror copies packets of Pods, as long as it exists, to where
// somebody can look at them: a link on their nodes, a collector that takes
// GRE or ERSPAN, or a Pod. The packets themselves go where they would.
//
// Example: what the Pods app=web of the namespace shop are asked on port 80,
// to a Pod that runs tcpdump on its link mirror0:
//
//	apiVersion: heddle.dev/v1alpha1
//	kind: TrafficMirror
//	metadata:
//	  name: web
//	spec:
//	  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}
//	  podSelector: {matchLabels: {app: web}}
//	  direction: Ingress
//	  filter: {family: IPv4, protocol: TCP, destinationPort: 80}
//	  to:
//	    pod: {namespace: debug, name: tcpdump}
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=trafficmirrors,singular=trafficmirror,shortName=tm,scope=Cluster
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Direction",type=string,JSONPath=`.spec.direction`
// +kubebuilder:printcolumn:name="To",type=string,JSONPath=`.status.to`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TrafficMirror struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says whose packets are copied, which of them, and where to.
	Spec TrafficMirrorSpec `json:"spec"`
	// status is what the controller reports about it.
	// +optional
	Status TrafficMirrorStatus `json:"status,omitempty"`
}

// TrafficMirrorList is a list of TrafficMirrors.
//
// +kubebuilder:object:root=true
type TrafficMirrorList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []TrafficMirror `json:"items"`
}

// Direction is a direction as a Pod sees it.
type Direction string

// The values of direction.
const (
	Ingress Direction = "Ingress"
	Egress  Direction = "Egress"
	Both    Direction = "Both"
)

// TrafficMirrorSpec says whose packets are copied, which of them, and where
// to.
type TrafficMirrorSpec struct {
	// namespaceSelector chooses the Namespaces of the Pods by their labels.
	// Default: every Namespace.
	//
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// podSelector chooses the Pods by their labels; {} chooses all. Pods in the
	// network of their node have no port, and nothing of them is copied.
	PodSelector metav1.LabelSelector `json:"podSelector"`
	// direction of the packets as the Pods see it: Ingress (what they are
	// sent), Egress (what they send) or Both.
	//
	// +optional
	// +kubebuilder:default=Both
	// +kubebuilder:validation:Enum=Ingress;Egress;Both
	Direction Direction `json:"direction,omitempty"`
	// filter chooses the packets. Default: all of them, of every protocol.
	//
	// +optional
	Filter *TrafficFilter `json:"filter,omitempty"`
	// to is where the copies go.
	To TrafficSink `json:"to"`
}

// IPFamily is a family of addresses.
type IPFamily string

// The values of family.
const (
	IPv4 IPFamily = "IPv4"
	IPv6 IPFamily = "IPv6"
)

// Protocol is one that a filter can choose.
type Protocol string

// The values of protocol.
const (
	TCP  Protocol = "TCP"
	UDP  Protocol = "UDP"
	SCTP Protocol = "SCTP"
	ICMP Protocol = "ICMP"
)

// TrafficFilter matches a packet that all of its fields match. For both
// families, or for questions and their answers by port, make two objects.
//
// +kubebuilder:validation:XValidation:rule="!has(self.source) || (isIP(self.source) && self.source.contains(':') == (self.family == 'IPv6'))",fieldPath=.source,message="must be an address of the family, such as 10.16.0.7 or fd00:10:16::7"
// +kubebuilder:validation:XValidation:rule="!has(self.destination) || (isIP(self.destination) && self.destination.contains(':') == (self.family == 'IPv6'))",fieldPath=.destination,message="must be an address of the family, such as 10.16.0.7 or fd00:10:16::7"
// +kubebuilder:validation:XValidation:rule="(!has(self.sourcePort) && !has(self.destinationPort)) || (has(self.protocol) && self.protocol != 'ICMP')",fieldPath=.protocol,message="must be TCP, UDP or SCTP where a port is set"
type TrafficFilter struct {
	// family is IPv4 or IPv6.
	//
	// +kubebuilder:validation:Enum=IPv4;IPv6
	Family IPFamily `json:"family"`
	// protocol is TCP, UDP, SCTP or ICMP (ICMPv6, with family IPv6). Default:
	// every one.
	//
	// +optional
	// +kubebuilder:validation:Enum=TCP;UDP;SCTP;ICMP
	Protocol Protocol `json:"protocol,omitempty"`
	// source is the address that packets come from.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Source string `json:"source,omitempty"`
	// destination is the address that packets go to. Of a packet to a Service
	// it is the Service's where a Pod sends it, and the Pod's where it arrives.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Destination string `json:"destination,omitempty"`
	// sourcePort is the port that packets come from.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	SourcePort int32 `json:"sourcePort,omitempty"`
	// destinationPort is the port that packets go to: the Service's or the
	// Pod's, as the address is.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	DestinationPort int32 `json:"destinationPort,omitempty"`
}

// TrafficSink is where copies go; exactly one field is set.
//
// +kubebuilder:validation:XValidation:rule="(has(self.interface) ? 1 : 0) + (has(self.gre) ? 1 : 0) + (has(self.erspan) ? 1 : 0) + (has(self.pod) ? 1 : 0) == 1",message="set exactly one of interface, gre, erspan and pod"
// +kubebuilder:validation:XValidation:rule="!has(self.erspan) || self.erspan.id <= 1023",fieldPath=.erspan,message="id: a session of ERSPAN is from 0 to 1023"
type TrafficSink struct {
	// interface is the name of a link on each node: mirror, or a name that
	// begins with it, of up to 15 characters. Heddle makes it. Several
	// TrafficMirrors may share one.
	//
	// +optional
	// +kubebuilder:validation:Pattern=`^mirror[-a-z0-9]{0,9}$`
	Interface string `json:"interface,omitempty"`
	// gre is a collector that takes whole frames in GRE (RFC 2784, protocol
	// 0x6558) with a key (RFC 2890).
	//
	// +optional
	GRE *Collector `json:"gre,omitempty"`
	// erspan is a collector that takes ERSPAN, version 1 (type II).
	//
	// +optional
	ERSPAN *Collector `json:"erspan,omitempty"`
	// pod is a Pod, which gets a link mirror0 for them. It may be on another
	// node than the Pods whose packets they are: then the copies go from node
	// to node by GRE.
	//
	// +optional
	Pod *PodReference `json:"pod,omitempty"`
}

// Collector is a host that takes copies in a tunnel. The nodes must reach it.
//
// +kubebuilder:validation:XValidation:rule="isIP(self.address)",fieldPath=.address,message="must be an address such as 192.0.2.7 or 2001:db8::7"
type Collector struct {
	// address is the collector's.
	//
	// +kubebuilder:validation:MaxLength=64
	Address string `json:"address"`
	// id tells several mirrors from each other at the collector: the key of
	// GRE, or the session of ERSPAN (up to 1023).
	//
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	ID int64 `json:"id"`
}

// PodReference names a Pod.
type PodReference struct {
	// namespace of the Pod.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// name of the Pod.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// TrafficMirrorStatus is what the controller reports about a TrafficMirror.
type TrafficMirrorStatus struct {
	// conditions: Ready is True when packets are copied as it is written;
	// otherwise its reason and message say why not.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []v1.Condition `json:"conditions,omitempty"`
	// to is the sink in short.
	// +optional
	To string `json:"to,omitempty"`
}

// MirrorID is by what OVN's mirror finds the port that copies go to
// (ovn-controller(8), external_ids:mirror-id of an Interface).
func (s *TrafficSink) MirrorID() string {
	switch {
	case s.GRE != nil:
		return fmt.Sprintf("gre/%s/%d", s.GRE.Address, s.GRE.ID)
	case s.ERSPAN != nil:
		return fmt.Sprintf("erspan/%s/%d", s.ERSPAN.Address, s.ERSPAN.ID)
	case s.Pod != nil:
		return s.Pod.Key()
	}
	return s.Interface
}

// Key is the Pod's namespace/name.
func (p *PodReference) Key() string { return p.Namespace + "/" + p.Name }

// TunnelKeys are those of the copies that come to a Pod from other nodes: of
// what Pods send there, and of what they are sent. The upper half of GRE's
// keys is theirs: no collector's id is there.
func (m *TrafficMirror) TunnelKeys() (egress, ingress uint32) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(m.Name))
	key := h.Sum32() | 1<<31
	return key &^ 1, key | 1
}

// String is the sink in a few words.
func (s *TrafficSink) String() string {
	switch {
	case s.GRE != nil:
		return fmt.Sprintf("gre %s id %d", s.GRE.Address, s.GRE.ID)
	case s.ERSPAN != nil:
		return fmt.Sprintf("erspan %s id %d", s.ERSPAN.Address, s.ERSPAN.ID)
	case s.Pod != nil:
		return fmt.Sprintf("pod %s/%s", s.Pod.Namespace, s.Pod.Name)
	}
	return "interface " + s.Interface
}
