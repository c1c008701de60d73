package verdict

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Size says how large a random cluster is. Each number but Nodes and Namespaces is an upper bound.
type Size struct {
	Namespaces, Nodes, Pods int

	NetworkPolicies        int
	AdminNetworkPolicies   int
	ClusterNetworkPolicies int
	Baseline               bool // a BaselineAdminNetworkPolicy, too
	SecurityGroups         int
	Subnets                bool // that are private

	Rules, Peers, Ports int // of one policy, rule, rule
}

// Subnet is a range that Pods of a random cluster have their addresses from.
type Subnet struct {
	Name  string
	CIDRs []netip.Prefix
}

// Subnets are one for each family, and one of both.
func Subnets() []Subnet {
	return []Subnet{
		{"four", prefixes("10.66.0.0/24")},
		{"six", prefixes("fd00:10:67::/120")},
		{"both", prefixes("10.68.0.0/24", "fd00:10:68::/120")},
	}
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// Outside are addresses that nobody in a random cluster has.
func Outside() []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.200"),
		netip.MustParseAddr("2001:db8:ffff::1"), netip.MustParseAddr("2001:db8:ffff::200"),
	}
}

// Numbers, names and labels are few, so that policies and Pods meet.
var (
	portNumbers   = []int32{53, 80, 81, 8080}
	portNames     = []string{"web", "data", rarePort}
	protocols     = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
	podLabels     = map[string][]string{"app": {"a", "b", "c"}, "tier": {"x", "y", ""}}
	clusterLabels = map[string][]string{"team": {"red", "blue"}, "env": {"prod", "test"}}
)

// rarePort is the name of a port of few Pods, so that it comes and goes with them.
const rarePort = "rare"

// generator makes one cluster.
type generator struct {
	*rand.Rand
	size  Size
	c     *Cluster
	cidrs [][]netip.Prefix // that policies name, by whom they are about
}

// Generate makes a random cluster. Policies of one tier have different priorities, since the API does not say what equal ones
// mean.
func Generate(r *rand.Rand, size Size) *Cluster {
	g := &generator{Rand: r, size: size, c: &Cluster{}}
	for i := range size.Namespaces {
		name := fmt.Sprintf("ns%d", i)
		labels := g.labels(clusterLabels)
		labels[corev1.LabelMetadataName] = name
		g.c.Namespaces = append(g.c.Namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	}
	for i := range size.Nodes {
		g.c.Nodes = append(g.c.Nodes, g.node(i))
	}
	for i := range 1 + g.upTo(size.Pods-1) {
		g.c.Pods = append(g.c.Pods, g.pod(i))
	}
	g.chooseCIDRs()
	g.policies()
	if size.SecurityGroups > 0 {
		g.securityGroups()
	}
	g.c.Subnets = g.securedSubnets()
	return g.c
}

// one chooses an element.
func one[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// in is true once in n times.
func (g *generator) in(n int) bool { return g.IntN(n) == 0 }

// labels chooses for each key a value or none. The order of keys is fixed, so that a seed always gives the same.
func (g *generator) labels(choices map[string][]string) map[string]string {
	labels := make(map[string]string)
	for _, key := range keysOf(choices) {
		if !g.in(3) {
			labels[key] = one(g.Rand, choices[key])
		}
	}
	return labels
}

func keysOf[V any](m map[string]V) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (g *generator) node(i int) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("n%d", i), Labels: g.labels(clusterLabels)}}
	add := func(kind corev1.NodeAddressType, address string) {
		node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: kind, Address: address})
	}
	add(corev1.NodeHostName, node.Name)
	add(corev1.NodeInternalIP, fmt.Sprintf("192.0.2.%d", i+1))
	add(corev1.NodeInternalIP, fmt.Sprintf("2001:db8::%d", i+1))
	if g.in(2) {
		add(corev1.NodeExternalIP, fmt.Sprintf("203.0.113.%d", i+1))
	}
	return node
}

// firstPod is the number of the first Pod's address in its Subnet.
const firstPod = 10

// pod may be in the host's network, or finished with its address given to the next one.
func (g *generator) pod(i int) *corev1.Pod {
	node := one(g.Rand, g.c.Nodes)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: one(g.Rand, g.c.Namespaces).Name, Name: fmt.Sprintf("p%d", i/2), Labels: g.labels(podLabels), Annotations: g.bindings(),
	}}
	if g.c.pod(pod.Namespace+"/"+pod.Name) != nil {
		pod.Name += "b"
	}
	pod.Spec.NodeName = node.Name
	for container := range 1 + g.IntN(2) {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: fmt.Sprintf("c%d", container), Ports: g.containerPorts()})
	}
	if g.in(3) {
		always := corev1.ContainerRestartPolicyAlways
		pod.Spec.InitContainers = []corev1.Container{{Name: "once", Ports: g.containerPorts()}, {Name: "side", RestartPolicy: &always, Ports: g.containerPorts()}}
	}
	pod.Status.Phase = corev1.PodRunning
	if g.in(10) {
		pod.Spec.HostNetwork = true
		for _, addr := range nodeAddrs(node)[:2] {
			pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: addr.String()})
		}
		return pod
	}
	n := firstPod + i
	if g.in(10) {
		pod.Status.Phase = one(g.Rand, []corev1.PodPhase{corev1.PodSucceeded, corev1.PodFailed})
		n++ // which the next Pod has, if it is in the same Subnet
	}
	for _, cidr := range one(g.Rand, Subnets()).CIDRs {
		pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: nth(cidr, n).String()})
	}
	return pod
}

// nth is the n-th address of a range.
func nth(cidr netip.Prefix, n int) netip.Addr {
	addr := cidr.Addr()
	for range n {
		addr = addr.Next()
	}
	return addr
}

// containerPorts gives some names a number, and another one in the next Pod.
func (g *generator) containerPorts() []corev1.ContainerPort {
	var ports []corev1.ContainerPort
	for _, name := range portNames {
		if name == rarePort && g.in(12) || name != rarePort && !g.in(3) {
			ports = append(ports, corev1.ContainerPort{Name: name, ContainerPort: one(g.Rand, portNumbers), Protocol: one(g.Rand, protocols)})
		}
	}
	return ports
}

// chooseCIDRs finds ranges around and between the addresses that there are: of everybody, of nodes, of the outside, and of Pods.
func (g *generator) chooseCIDRs() {
	pods := prefixes("10.64.0.0/13", "fd00:10::/32")
	for _, s := range Subnets() {
		pods = append(pods, s.CIDRs...)
	}
	for _, pod := range g.c.Pods {
		for _, addr := range podAddrs(pod) {
			for _, bits := range []int{addr.BitLen(), addr.BitLen() - 1, addr.BitLen() - 3} {
				pods = append(pods, netip.PrefixFrom(addr, bits).Masked())
			}
		}
	}
	nodes := prefixes("192.0.2.0/24", "2001:db8::/64", "203.0.113.0/24", "100.64.0.0/16", "fd00:100:64::/112")
	for _, node := range g.c.Nodes {
		for _, addr := range nodeAddrs(node) {
			nodes = append(nodes, netip.PrefixFrom(addr, addr.BitLen()))
		}
	}
	outside := prefixes("198.51.100.0/24", "198.51.100.128/25", "2001:db8:ffff::/64", "198.51.100.1/32")
	g.cidrs = [][]netip.Prefix{prefixes("0.0.0.0/0", "::/0"), nodes, outside, pods, pods}
}

func (g *generator) cidr() netip.Prefix { return one(g.Rand, one(g.Rand, g.cidrs)) }

// selector is empty now and then, and uses all operators.
func (g *generator) selector(choices map[string][]string) metav1.LabelSelector {
	var s metav1.LabelSelector
	keys := keysOf(choices)
	switch g.IntN(8) {
	case 0: // selects everything
	case 1, 2:
		key := one(g.Rand, keys)
		s.MatchLabels = map[string]string{key: one(g.Rand, choices[key])}
	case 3:
		s.MatchLabels = g.labels(choices)
	case 4, 5: // several conditions on one key
		key := one(g.Rand, keys)
		for range 2 + g.IntN(2) {
			s.MatchExpressions = append(s.MatchExpressions, g.expression(key, choices[key]))
		}
	default:
		if g.in(4) {
			s.MatchLabels = g.labels(choices)
		}
		for range 1 + g.IntN(3) {
			key := one(g.Rand, keys)
			s.MatchExpressions = append(s.MatchExpressions, g.expression(key, choices[key]))
		}
	}
	return s
}

func (g *generator) expression(key string, values []string) metav1.LabelSelectorRequirement {
	e := metav1.LabelSelectorRequirement{Key: key, Operator: one(g.Rand, []metav1.LabelSelectorOperator{
		metav1.LabelSelectorOpIn, metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist,
	})}
	if e.Operator == metav1.LabelSelectorOpIn || e.Operator == metav1.LabelSelectorOpNotIn {
		e.Values = append(e.Values, values...)
		g.Shuffle(len(e.Values), func(i, j int) { e.Values[i], e.Values[j] = e.Values[j], e.Values[i] })
		e.Values = e.Values[:1+g.IntN(len(values))]
	}
	return e
}

// namespaces selects Namespaces, by their names too.
func (g *generator) namespaces() metav1.LabelSelector {
	if g.in(4) {
		return metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: one(g.Rand, g.c.Namespaces).Name}}
	}
	return g.selector(clusterLabels)
}

// Probes are the ways to talk that policies of random clusters tell apart.
func Probes() []Probe {
	var probes []Probe
	for _, family := range []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol} {
		for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP} {
			for _, port := range portNumbers {
				probes = append(probes, Probe{family, protocol, port})
			}
		}
		probes = append(probes, Probe{Family: family, Protocol: ICMP})
	}
	return probes
}
