package compile_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/controller/verdict"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// The comparison of what OVN does with what the API says: random clusters go the whole way to ovn-northd, and ovn-trace is
// asked about as many packets as controller/verdict.

// perRun is how many packets are compared in a run, and perCluster in each cluster.
const (
	perRun     = 20000
	perCluster = 700
)

// enforced are the objects of the policies that compilers know.
func enforced(*verdict.Cluster) []object { return nil }

// compared are the sizes of the clusters: of what compilers know only.
var compared = verdict.Size{Namespaces: 3, Nodes: maxNodes, Pods: 9}

// seed is HEDDLE_SEED, to see a failure again, or a new one for each run.
func seed(t *testing.T) uint64 {
	t.Helper()
	if text := os.Getenv("HEDDLE_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return seed
	}
	return rand.Uint64()
}

// TestPoliciesAgainstTheAPI compares random clusters until enough packets were asked. The first disagreement is made small and
// printed as a case.
func TestPoliciesAgainstTheAPI(t *testing.T) {
	first, count := seed(t), perRun
	if testing.Short() {
		count = perCluster
	}
	o := &oracle{network: newNetwork(t), enforce: enforced}
	for seed := first; o.questions < count; seed++ {
		r := rand.New(rand.NewPCG(seed, 0))
		c := verdict.Generate(r, compared)
		packets := packetsOf(r, c)
		o.become(c)
		for _, p := range packets {
			if d := o.compare(c, p); d != "" {
				t.Fatalf("HEDDLE_SEED=%d\n%s\n%s", seed, d, o.smallest(c, p))
			}
		}
	}
	t.Logf("%d verdicts of %d clusters from HEDDLE_SEED=%d, %d allowed; %s", o.questions, o.clusters, first, o.allowed, o.took())
}

// oracle asks both.
type oracle struct {
	*network
	enforce func(*verdict.Cluster) []object // the policies, as objects of the state
	by      func()                          // what is done to NB by hand after that, for the tests of this test

	hosts                        map[string]host // by their ports
	questions, clusters, allowed int
	changing, asking             time.Duration
}

func (o *oracle) took() string {
	return fmt.Sprintf("%v a cluster, %v a question", o.changing/time.Duration(o.clusters), o.asking/time.Duration(o.questions))
}

// become makes the network that of a cluster with its policies.
func (o *oracle) become(c *verdict.Cluster) {
	o.t.Helper()
	start := time.Now()
	w := worldOf(c)
	w.more = append(w.more, o.enforce(c)...)
	o.network.become(w)
	o.hosts = make(map[string]host)
	for i := range w.nodes {
		o.hosts[w.nodes[i].port()] = hostOfNode(w, i)
	}
	for _, pod := range c.Pods {
		if h, ok := hostOf(w, pod); ok {
			o.hosts[h.port] = h
		}
	}
	if o.by != nil {
		o.by()
		o.ovn.Sync()
	}
	o.clusters++
	o.changing += time.Since(start)
}

// worldOf is the network of a cluster: Pods have their objects and their IP objects in more.
func worldOf(c *verdict.Cluster) world {
	w := world{join: subnet{name: "join", cidrs: pick("46", "100.64.0.0/16", "fd00:100:64::/112")}}
	for i, s := range verdict.Subnets() {
		w.subnets = append(w.subnets, subnet{name: s.Name, age: i, cidrs: s.CIDRs})
	}
	for i, obj := range c.Nodes {
		w.nodes = append(w.nodes, node{name: obj.Name, join: nth(w.join.cidrs, i+2), addressed: true})
		w.more = append(w.more, func(s *state.Store) { put(s.Nodes, obj.Name, feed.Node(obj)) })
	}
	for _, obj := range c.Namespaces {
		w.more = append(w.more, func(s *state.Store) { put(s.Namespaces, obj.Name, feed.Namespace(obj)) })
	}
	for _, obj := range c.Pods {
		w.more = append(w.more, func(s *state.Store) { put(s.Pods, obj.Namespace+"/"+obj.Name, feed.Pod(obj)) })
		if h, ok := hostOf(w, obj); ok {
			w.more = append(w.more, ipObject(h.port, h.subnet.name, h.addrs))
		}
	}
	return w
}

// hostOf is a Pod that has a port.
func hostOf(w world, pod *corev1.Pod) (host, bool) {
	h := host{port: state.PodPort(pod.Namespace, pod.Name)}
	for _, ip := range pod.Status.PodIPs {
		h.addrs = append(h.addrs, netip.MustParseAddr(ip.IP))
	}
	h.node = slices.IndexFunc(w.nodes, func(n node) bool { return n.name == pod.Spec.NodeName })
	if !feed.NeedsNetwork(pod) || h.node < 0 || len(h.addrs) == 0 {
		return host{}, false
	}
	h.mac = mac(h.addrs)
	for _, s := range w.subnets {
		if s.cidrs[0].Contains(h.addrs[0]) || s.cidrs[len(s.cidrs)-1].Contains(h.addrs[0]) {
			h.subnet = s
		}
	}
	return h, true
}

// packetsOf chooses packets with a Pod at one end at least, of all kinds of ends and ways to talk.
func packetsOf(r *rand.Rand, c *verdict.Cluster) []verdict.Packet {
	w := worldOf(c)
	var pods, others, senders []verdict.Peer
	for _, peer := range c.Peers() {
		if peer.Pod != "" {
			pods = append(pods, peer)
		} else {
			others = append(others, peer)
		}
	}
	for _, node := range w.nodes {
		for _, addr := range node.join {
			senders = append(senders, verdict.Peer{Node: node.name, Addr: addr})
		}
	}
	for _, node := range c.Nodes {
		for _, a := range node.Status.Addresses {
			if a.Type == corev1.NodeExternalIP {
				others = append(others, verdict.Peer{Addr: netip.MustParseAddr(a.Address)})
			}
		}
	}
	for _, addr := range verdict.Outside() {
		others, senders = append(others, verdict.Peer{Addr: addr}), append(senders, verdict.Peer{Addr: addr})
	}
	probes := verdict.Probes()
	packets := slices.Concat(verdict.NewTable(pods, pods, probes).Packets(), verdict.NewTable(pods, others, probes).Packets(), verdict.NewTable(senders, pods, probes).Packets())
	packets = slices.DeleteFunc(packets, func(p verdict.Packet) bool {
		_, reason := c.Allowed(p)
		return p.From == p.To || strings.Contains(reason.Ends, "not in the")
	})
	r.Shuffle(len(packets), func(i, j int) { packets[i], packets[j] = packets[j], packets[i] })
	return packets[:min(len(packets), perCluster)]
}

// compare says in what OVN and the API disagree about a packet, "" when they do not.
func (o *oracle) compare(c *verdict.Cluster, p verdict.Packet) string {
	o.t.Helper()
	want, reason := c.Allowed(p)
	start := time.Now()
	got, trace := o.passes(c, p)
	o.asking += time.Since(start)
	o.questions++
	if want {
		o.allowed++
	}
	if got == want {
		return ""
	}
	return fmt.Sprintf("%s: OVN says %t, the API %t: %s\n%s", p, got, want, reason, trace.Text)
}

// passes asks OVN whether a packet arrives where it should.
func (o *oracle) passes(c *verdict.Cluster, p verdict.Packet) (bool, ovstest.Trace) {
	o.t.Helper()
	from, src := o.sender(p)
	dst, port := o.receiver(c, p, from)
	trace := o.sendFrom(from, src, dst, o.hosts[port].mac, protocolOf(p))
	if len(trace.Out) > 0 && !slices.Equal(trace.Out, []string{port}) {
		o.t.Fatalf("%s came out of %v instead of %s\n%s", p, trace.Out, port, trace.Text)
	}
	return len(trace.Out) > 0, trace
}

// sender is where a packet starts, and with which address. What is outside comes by some node, always the same.
func (o *oracle) sender(p verdict.Packet) (host, netip.Addr) {
	o.t.Helper()
	if p.From.Pod != "" {
		h := o.hosts[portOf(p.From.Pod)]
		src, _ := h.addr(exampleOf(p.Family))
		return h, src
	}
	if p.From.Node != "" {
		return o.hosts[state.NodePort(p.From.Node)], p.From.Addr
	}
	last := p.From.Addr.As16()[15]
	return o.hosts[o.world.nodes[int(last)%len(o.world.nodes)].port()], p.From.Addr
}

// receiver is the address that a packet goes to, and the port that it comes out of: what is outside leaves by the Pod's node.
func (o *oracle) receiver(c *verdict.Cluster, p verdict.Packet, from host) (netip.Addr, string) {
	o.t.Helper()
	if p.To.Pod != "" {
		port := portOf(p.To.Pod)
		dst, _ := o.hosts[port].addr(exampleOf(p.Family))
		return dst, port
	}
	if p.To.Node == "" {
		return p.To.Addr, o.world.nodes[from.node].port()
	}
	i := slices.IndexFunc(c.Nodes, func(n *corev1.Node) bool { return n.Name == p.To.Node })
	for _, addr := range feed.Node(c.Nodes[i]).InternalIPs {
		if addr.Is4() == (p.Family == corev1.IPv4Protocol) {
			return addr, state.NodePort(p.To.Node)
		}
	}
	o.t.Fatalf("%s has no address", p.To)
	return netip.Addr{}, ""
}

func portOf(pod string) string {
	namespace, name, _ := strings.Cut(pod, "/")
	return state.PodPort(namespace, name)
}

func exampleOf(family corev1.IPFamily) netip.Addr {
	if family == corev1.IPv4Protocol {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// protocolOf says it in words of OVN; of ICMP it is the request for an echo.
func protocolOf(p verdict.Packet) string {
	switch {
	case p.Protocol != verdict.ICMP:
		return fmt.Sprintf("%s.dst == %d", strings.ToLower(string(p.Protocol)), p.Port)
	case p.Family == corev1.IPv4Protocol:
		return "icmp4.type == 8"
	}
	return "icmp6.type == 128"
}

// shrinking is how many clusters are tried to make a case small.
const shrinking = 400

// smallest is the case of a disagreement, made small.
func (o *oracle) smallest(c *verdict.Cluster, p verdict.Packet) string {
	o.t.Helper()
	last := ""
	small := verdict.Shrink(c, shrinking, func(c *verdict.Cluster) bool {
		_, reason := c.Allowed(p)
		if !bound(c) || strings.Contains(reason.Ends, "not in the") {
			return false
		}
		o.become(c)
		d := o.compare(c, p)
		if d != "" {
			last = d
		}
		return d != ""
	})
	text, err := small.Format("case", last)
	if err != nil {
		o.t.Fatal(err)
	}
	return string(text)
}

// bound tells whether the nodes are on the chassis that they were on: only the last ones may go.
func bound(c *verdict.Cluster) bool {
	for i, node := range c.Nodes {
		if node.Name != fmt.Sprintf("n%d", i) {
			return false
		}
	}
	return len(c.Nodes) > 0
}
