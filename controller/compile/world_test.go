package compile_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// world is a small cluster, in the words of a user.
type world struct {
	join    subnet
	subnets []subnet
	nodes   []node
	pods    []pod
	more    []object // of other kinds
}

// subnet has one CIDR for each family. One that is not valid contradicts an older one.
type subnet struct {
	name    string
	cidrs   []netip.Prefix
	age     int
	invalid bool
}

type node struct {
	name      string
	internal  []netip.Addr
	join      []netip.Addr
	addressed bool // has its IP object
}

type pod struct {
	name   string
	node   int
	subnet int
	addrs  []netip.Addr
}

func (n node) port() string { return "node-" + n.name }
func (p pod) port() string  { return p.name + ".default" }

// gatewayTo is the gateway for an address outside of the Subnet.
func (s subnet) gatewayTo(dst netip.Addr) (gateway netip.Addr, outside bool) {
	for _, cidr := range s.cidrs {
		if cidr.Addr().Is4() == dst.Is4() {
			return cidr.Addr().Next(), !cidr.Contains(dst)
		}
	}
	return netip.Addr{}, true
}

// pick leaves the families that are wanted, "4", "6" or "46".
func pick(families, v4, v6 string) []netip.Prefix {
	var cidrs []netip.Prefix
	for _, cidr := range []netip.Prefix{netip.MustParsePrefix(v4), netip.MustParsePrefix(v6)} {
		if strings.Contains(families, map[bool]string{true: "4", false: "6"}[cidr.Addr().Is4()]) {
			cidrs = append(cidrs, cidr)
		}
	}
	return cidrs
}

// nth gives the n-th address of each CIDR.
func nth(cidrs []netip.Prefix, n int) []netip.Addr {
	addrs := make([]netip.Addr, len(cidrs))
	for i, cidr := range cidrs {
		addrs[i] = cidr.Addr()
		for range n {
			addrs[i] = addrs[i].Next()
		}
	}
	return addrs
}

// mac is different for each first address of a world.
func mac(addrs []netip.Addr) string {
	b := addrs[0].As16()
	return fmt.Sprintf("00:00:5e:00:%02x:%02x", b[13]^b[5], b[15]) // RFC 7042, section 2.1.2: for documentation
}

func hostOfPod(w world, p pod) host {
	return host{p.port(), mac(p.addrs), p.node, w.subnets[p.subnet], p.addrs}
}

func hostOfNode(w world, i int) host {
	return host{w.nodes[i].port(), mac(w.nodes[i].join), i, w.join, w.nodes[i].join}
}

// objects are the Kubernetes objects of the world.
func (w world) objects() []object {
	list := []object{func(s *state.Store) {
		put(s.Vpcs, "ovn-cluster", feed.Vpc(&v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "ovn-cluster"}}))
	}}
	for _, s := range append([]subnet{w.join}, w.subnets...) {
		list = append(list, s.object())
	}
	for _, n := range w.nodes {
		obj := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.name}}
		for _, a := range n.internal {
			obj.Status.Addresses = append(obj.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a.String()})
		}
		list = append(list, func(s *state.Store) { put(s.Nodes, obj.Name, feed.Node(obj)) })
		if n.addressed {
			list = append(list, ipObject(n.port(), "join", n.join))
		}
	}
	for _, p := range w.pods {
		obj := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: p.name}, Spec: corev1.PodSpec{NodeName: w.nodes[p.node].name}}
		list = append(list, func(s *state.Store) { put(s.Pods, "default/"+obj.Name, feed.Pod(obj)) }, ipObject(p.port(), w.subnets[p.subnet].name, p.addrs))
	}
	return append(list, w.more...)
}

func (s subnet) object() object {
	obj := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: s.name, CreationTimestamp: metav1.NewTime(time.Unix(int64(s.age), 0))}}
	var texts []string
	for _, cidr := range s.cidrs {
		texts = append(texts, cidr.String())
	}
	obj.Spec.CIDRBlock = strings.Join(texts, ",")
	return func(s *state.Store) { put(s.Subnets, obj.Name, feed.Subnet(obj, "ovn-cluster")) }
}

func ipObject(name, subnet string, addrs []netip.Addr) object {
	obj := &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.IPSpec{Subnet: subnet, MacAddress: mac(addrs)}}
	for _, a := range addrs {
		if a.Is4() {
			obj.Spec.V4IPAddress = a.String()
		} else {
			obj.Spec.V6IPAddress = a.String()
		}
	}
	return func(s *state.Store) { put(s.IPs, obj.Name, feed.IP(obj)) }
}

// reaches is what the API promises: the port that a packet of the Pod to that address comes out of, "" for none. It is
// written down here a second time, from the documentation of Subnet and Node, not from the compilers.
func (w world) reaches(from pod, dst netip.Addr) string {
	for _, p := range w.pods { // Pods reach Pods, of all Subnets that are in force
		if slices.Contains(p.addrs, dst) && !w.subnets[p.subnet].invalid {
			return p.port()
		}
	}
	for _, n := range w.nodes { // and every node, by its own addresses and by its address on the join Subnet
		_, served := host{addrs: n.join}.addr(dst)
		if n.addressed && (slices.Contains(n.join, dst) || slices.Contains(n.internal, dst) && served) {
			return n.port()
		}
	}
	for _, s := range append([]subnet{w.join}, w.subnets...) { // what nobody has in a Subnet is nowhere
		for _, cidr := range s.cidrs {
			if cidr.Contains(dst) && !s.invalid {
				return ""
			}
		}
	}
	own := w.nodes[from.node] // everything else leaves by the Pod's own node
	if _, served := (host{addrs: own.join}).addr(dst); served && own.addressed {
		return own.port()
	}
	return ""
}

// randomWorld has up to 3 nodes, 4 Subnets, and 7 Pods in those that are in force.
func randomWorld(r *rand.Rand) world {
	families := func() string { return []string{"4", "6", "46"}[r.IntN(3)] }
	w := world{join: subnet{name: "join", cidrs: pick(families(), "100.64.0.0/24", "fd00:100:64::/112")}}
	for i := range 1 + r.IntN(maxNodes) {
		w.nodes = append(w.nodes, node{
			name: fmt.Sprintf("n%d", i), internal: nth(pick(families(), "192.0.2.0/24", "2001:db8::/64"), i+1),
			join: nth(w.join.cidrs, i+2), addressed: r.IntN(5) > 0,
		})
	}
	for i := range 1 + r.IntN(3) {
		w.subnets = append(w.subnets, subnet{
			name: fmt.Sprintf("s%d", i), age: i, cidrs: pick(families(), fmt.Sprintf("10.%d.0.0/24", i+1), fmt.Sprintf("fd00:%d::/112", i+1)),
		})
	}
	if r.IntN(2) == 0 { // younger, and around the first one
		all := pick("46", "10.1.0.0/16", "fd00:1::/64")
		w.subnets = append(w.subnets, subnet{name: "a-late", age: 9, invalid: true, cidrs: slices.DeleteFunc(all, func(c netip.Prefix) bool {
			return !slices.ContainsFunc(w.subnets[0].cidrs, c.Overlaps)
		})})
	}
	for i := range r.IntN(8) {
		s := r.IntN(len(w.subnets))
		if !w.subnets[s].invalid {
			w.pods = append(w.pods, pod{name: fmt.Sprintf("p%d", i), node: r.IntN(len(w.nodes)), subnet: s, addrs: nth(w.subnets[s].cidrs, i+5)})
		}
	}
	return w
}
