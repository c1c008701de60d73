package verdict

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// Cluster is what the API server holds of a cluster, as far as policies see it.
type Cluster struct {
	Namespaces []*corev1.Namespace
	Pods       []*corev1.Pod
	Nodes      []*corev1.Node

	NetworkPolicies              []*networkingv1.NetworkPolicy
	AdminNetworkPolicies         []*v1alpha1.AdminNetworkPolicy
	BaselineAdminNetworkPolicies []*v1alpha1.BaselineAdminNetworkPolicy
	ClusterNetworkPolicies       []*v1alpha2.ClusterNetworkPolicy
	SecurityGroups               []*v1.SecurityGroup
	Subnets                      []*v1.Subnet // those that say who reaches their Pods
}

// Peer is one end of a packet: a Pod by its key namespace/name, a Node by its name, or whoever has an address. A Node may
// send from an address that its object does not show; then Addr beside Node is what the packet has.
type Peer struct {
	Pod  string
	Node string
	Addr netip.Addr
}

func (p Peer) String() string {
	switch {
	case p.Pod != "":
		return p.Pod
	case p.Node != "" && p.Addr.IsValid():
		return "node " + p.Node + " by " + p.Addr.String()
	case p.Node != "":
		return "node " + p.Node
	}
	return p.Addr.String()
}

// ICMP is a Protocol of a Packet that policies cannot name: it has no port.
const ICMP corev1.Protocol = "ICMP"

// Packet is the first packet of a connection. Replies follow it.
type Packet struct {
	From, To Peer
	Family   corev1.IPFamily
	Protocol corev1.Protocol
	Port     int32 // the destination's
}

func (p Packet) String() string {
	return fmt.Sprintf("%s → %s %s %s", p.From, p.To, p.Family, p.probe())
}

func (p Packet) probe() string {
	if p.Protocol == ICMP {
		return string(p.Protocol)
	}
	return fmt.Sprintf("%s/%d", p.Protocol, p.Port)
}

// Allowed tells whether the packet may start a connection, and who said so.
func (c *Cluster) Allowed(p Packet) (bool, Reason) {
	from, ok := c.find(p.From, p.Family)
	if !ok {
		return false, Reason{Ends: fmt.Sprintf("%s is not in the %s network", p.From, p.Family)}
	}
	to, ok := c.find(p.To, p.Family)
	switch {
	case !ok:
		return false, Reason{Ends: fmt.Sprintf("%s is not in the %s network", p.To, p.Family)}
	case from.pod != nil && from.pod == to.pod:
		return true, Reason{Ends: "a Pod reaches itself"}
	case from.node != nil && to.pod != nil && to.pod.Spec.NodeName == from.node.Name:
		return true, Reason{Ends: "a node reaches its own Pods"}
	}
	reason := Reason{
		Egress:  c.decide(&traffic{"egress", from, to, to, p.Protocol, p.Port}),
		Ingress: c.decide(&traffic{"ingress", to, from, to, p.Protocol, p.Port}),
	}
	return reason.Egress.Allowed && reason.Ingress.Allowed, reason
}

// end is one end of a packet as policies see it: a Pod in the network, a node, or an address outside.
type end struct {
	pod  *corev1.Pod
	node *corev1.Node
	addr netip.Addr
}

// traffic is a packet seen from one of its ends, local, whose policies are asked.
type traffic struct {
	direction                  string // egress or ingress
	local, remote, destination end
	protocol                   corev1.Protocol
	port                       int32
}

// find looks up an end; false when it cannot send or receive by that family.
func (c *Cluster) find(p Peer, family corev1.IPFamily) (end, bool) {
	pod, node := c.pod(p.Pod), c.node(p.Node)
	switch {
	case pod != nil && pod.Spec.HostNetwork:
		return c.find(Peer{Node: pod.Spec.NodeName}, family)
	case pod != nil && inNetwork(pod):
		return end{pod: pod}.by(podAddrs(pod), family)
	case node != nil && p.Addr.IsValid():
		return end{node: node}.by([]netip.Addr{p.Addr}, family)
	case node != nil:
		return end{node: node}.by(nodeAddrs(node), family)
	case p.Pod == "" && p.Node == "":
		return c.whoHas(p.Addr), familyOf(p.Addr) == family
	}
	return end{}, false
}

// by is the end with its first address of that family.
func (e end) by(addrs []netip.Addr, family corev1.IPFamily) (end, bool) {
	for _, e.addr = range addrs {
		if familyOf(e.addr) == family {
			return e, true
		}
	}
	return end{}, false
}

// whoHas is the Pod or the node with that address, or the outside.
func (c *Cluster) whoHas(addr netip.Addr) end {
	for _, pod := range c.Pods {
		if inNetwork(pod) && slices.Contains(podAddrs(pod), addr) {
			return end{pod: pod, addr: addr}
		}
	}
	for _, node := range c.Nodes {
		if slices.Contains(nodeAddrs(node), addr) {
			return end{node: node, addr: addr}
		}
	}
	return end{addr: addr}
}

// inNetwork tells whether a Pod is an end of its own: it runs on a node, not in the host's network, and is not finished.
func inNetwork(pod *corev1.Pod) bool {
	finished := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	return !finished && !pod.Spec.HostNetwork && pod.Spec.NodeName != ""
}

func podAddrs(pod *corev1.Pod) []netip.Addr {
	var addrs []netip.Addr
	for _, ip := range pod.Status.PodIPs {
		if addr, err := netip.ParseAddr(ip.IP); err == nil {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// nodeAddrs are the IPs among a node's addresses; others of them are names.
func nodeAddrs(node *corev1.Node) []netip.Addr {
	var addrs []netip.Addr
	for _, a := range node.Status.Addresses {
		if addr, err := netip.ParseAddr(a.Address); err == nil {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

func familyOf(addr netip.Addr) corev1.IPFamily {
	if addr.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

func (c *Cluster) pod(key string) *corev1.Pod {
	namespace, name, _ := strings.Cut(key, "/")
	return named(c.Pods, namespace, name)
}

func (c *Cluster) node(name string) *corev1.Node { return named(c.Nodes, "", name) }

func named[T metav1.Object](list []T, namespace, name string) (none T) {
	for _, o := range list {
		if o.GetNamespace() == namespace && o.GetName() == name {
			return o
		}
	}
	return none
}
