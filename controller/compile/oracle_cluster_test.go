package compile_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/controller/verdict"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
)

// restart makes the network that of a cluster as a controller does that has just started: everything is compiled.
func (o *oracle) restart(c *verdict.Cluster) {
	o.t.Helper()
	start := time.Now()
	w := o.worldOf(c)
	o.store = o.filled(w)
	o.apply(o.everybody(o.store))
	o.store.TakeAll()
	o.be(w, c, start)
}

// everybody is all owners of a store and of NB, and what they want.
func (o *oracle) everybody(s *state.Store) ([]nb.Owner, map[nb.Owner]compile.Output) {
	owners, outputs := compileAll(s)
	for _, owner := range o.conn.Owners() {
		if _, ok := outputs[owner]; !ok {
			owners, outputs[owner] = append(owners, owner), compile.Output{}
		}
	}
	return owners, outputs
}

// follow makes it so by events, in any order and in several transactions: what is compiled is what they have made dirty. In the end NB
// must be what a restart would make of it.
func (o *oracle) follow(r *rand.Rand, c *verdict.Cluster) {
	o.t.Helper()
	start := time.Now()
	w := o.worldOf(c)
	events := difference(o.store, o.filled(w))
	r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	for len(events) > 0 {
		n := 1 + r.IntN(len(events))
		for _, event := range events[:n] {
			event()
		}
		events = events[n:]
		o.settle()
	}
	owners, outputs := o.everybody(o.filled(w))
	wants := make([]nb.Want, len(owners))
	for i, owner := range owners {
		wants[i] = nb.Want{Owner: owner, Rows: knownToAll(outputs[owner].Rows)}
	}
	o.conn.Sync()
	if txn := nb.Plan(o.conn, wants); !txn.Empty() {
		o.t.Fatalf("what events have led to is not what a restart wants:\n%s\n%s", txn, o.format(c, "the cluster"))
	}
	o.be(w, c, start)
}

// be looks at the network when NB is that of the cluster.
func (o *oracle) be(w world, c *verdict.Cluster, start time.Time) {
	o.t.Helper()
	o.ovn.Sync()
	o.hosts = make(map[string]host)
	ports := make(map[string][]string)
	for _, pod := range c.Pods {
		if h, ok := hostOf(w, pod); ok {
			o.hosts[h.port] = h
			ports[chassis(h.node)] = append(ports[chassis(h.node)], h.port)
		}
	}
	for i := range w.nodes {
		o.hosts[w.nodes[i].port()] = hostOfNode(w, i)
		ports[chassis(i)] = append(ports[chassis(i)], w.nodes[i].port())
	}
	o.lookAt(w, ports)
	o.now = c
	o.clusters++
	o.changing += time.Since(start)
}

// settle compiles what is dirty and all who belong to it, groups last, until nothing is.
func (o *oracle) settle() {
	o.t.Helper()
	outputs := make(map[nb.Owner]compile.Output)
	for todo := o.store.TakeAll(); len(todo) > 0; {
		var groups []nb.Owner
		for _, owner := range todo {
			also := o.store.Compile(owner, func(v *state.View) { outputs[owner] = compile.Owner(v, owner) })
			groups = append(groups, also...)
		}
		todo = groups
	}
	owners := slices.SortedFunc(maps.Keys(outputs), nb.Owner.Compare)
	for _, group := range owners {
		if group.Kind == state.KindGroup {
			o.store.Compile(group, func(v *state.View) { outputs[group] = compile.Owner(v, group) })
		}
	}
	o.apply(owners, outputs)
}

// difference is the events that lead from what a store has to what another one has.
func difference(from, to *state.Store) []func() {
	return slices.Concat(
		tableDifference(from.Vpcs, to.Vpcs), tableDifference(from.Subnets, to.Subnets), tableDifference(from.Nodes, to.Nodes), tableDifference(from.Places, to.Places),
		tableDifference(from.Pods, to.Pods), tableDifference(from.Namespaces, to.Namespaces), tableDifference(from.IPs, to.IPs),
		tableDifference(from.Services, to.Services), tableDifference(from.EndpointSlices, to.EndpointSlices), tableDifference(from.Policies, to.Policies),
		tableDifference(from.AdminPolicies, to.AdminPolicies), tableDifference(from.BaselinePolicies, to.BaselinePolicies), tableDifference(from.ClusterPolicies, to.ClusterPolicies),
		tableDifference(from.SecurityGroups, to.SecurityGroups),
	)
}

func tableDifference[T any](from, to *state.Table[T]) (events []func()) {
	for _, key := range from.Keys() {
		if to.Get(key) == nil {
			events = append(events, func() { from.Delete(key) })
		}
	}
	for _, key := range to.Keys() {
		events = append(events, func() { from.Put(key, to.Get(key)) })
	}
	return events
}

// worldOf is the network of a cluster: Pods have their objects and their IP objects in more.
func (o *oracle) worldOf(c *verdict.Cluster) world {
	w := world{join: subnet{name: "join", cidrs: pick("46", "100.64.0.0/16", "fd00:100:64::/112")}}
	for i, s := range verdict.Subnets() {
		w.subnets = append(w.subnets, subnet{name: s.Name, age: i + 1, cidrs: s.CIDRs})
	}
	for i, obj := range c.Nodes {
		w.nodes = append(w.nodes, node{name: obj.Name, join: nth(w.join.cidrs, i+2), addressed: true})
		obj = obj.DeepCopy()
		obj.Annotations = map[string]string{v1.AnnotationChassis: chassis(i)}
		w.more = append(w.more, func(s *state.Store) {
			put(s.Nodes, obj.Name, feed.Node(obj))
			put(s.Places, obj.Name, feed.Place(obj))
		})
	}
	for _, obj := range c.Namespaces {
		w.more = append(w.more, func(s *state.Store) { put(s.Namespaces, obj.Name, feed.Namespace(obj)) })
	}
	o.vips = make(map[string][]netip.Addr)
	for i, obj := range c.Pods {
		w.more = append(w.more, func(s *state.Store) { put(s.Pods, obj.Namespace+"/"+obj.Name, feed.Pod(obj)) })
		if h, ok := hostOf(w, obj); ok {
			if len(o.vips) < servedPods {
				o.vips[h.port] = nth(pick("46", "10.96.0.0/24", "fd00:10:96::/120"), i+1)
				w.more = append(w.more, serviceOfPod(obj, h, o.vips[h.port])...)
			}
			w.more = append(w.more, ipObject(h.port, h.subnet.name, h.addrs))
		}
	}
	w.more = append(w.more, o.enforced(c)...)
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

// servedPods is how many Pods of a cluster have a Service: each flow of a load balancer makes each question longer.
const servedPods = 2

// viaService is how much higher the ports of a Service are than those of the Pod behind it.
const viaService = 10000

// serviceOfPod is a Service with this Pod alone behind it.
func serviceOfPod(pod *corev1.Pod, h host, vips []netip.Addr) (objects []object) {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
	slice := discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Labels: map[string]string{discoveryv1.LabelServiceName: pod.Name}}}
	for _, probe := range verdict.Probes() {
		name, protocol, port := strings.ToLower(fmt.Sprint(probe.Protocol, probe.Port)), probe.Protocol, probe.Port
		if probe.Family == corev1.IPv4Protocol && protocol != verdict.ICMP {
			service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: name, Protocol: protocol, Port: port + viaService, TargetPort: intstr.FromInt32(port)})
			slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &name, Protocol: &protocol, Port: &port})
		}
	}
	for _, addr := range h.addrs {
		vip, _ := host{addrs: vips}.addr(addr)
		service.Spec.ClusterIPs = append(service.Spec.ClusterIPs, vip.String())
		slice := slice.DeepCopy()
		slice.Name = pod.Name + family(addr)
		slice.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{addr.String()}}}
		objects = append(objects, func(s *state.Store) { put(s.EndpointSlices, slice.Namespace+"/"+slice.Name, feed.EndpointSlice(slice)) })
	}
	return append(objects, func(s *state.Store) { put(s.Services, service.Namespace+"/"+service.Name, feed.Service(service)) })
}

// questionsOf chooses packets with a Pod at one end at least: as many of each kind of ends and each two rules that decide, in all ways
// to talk.
func questionsOf(r *rand.Rand, c *verdict.Cluster) []question {
	byClass := make(map[string][]question)
	for _, p := range packetsOf(c) {
		_, reason := c.Allowed(p)
		if p.From == p.To || strings.Contains(reason.Ends, "not in the") {
			continue
		}
		q := question{p, p.To.Pod != "" && (p.From.Pod != "" || p.From.Node != "") && p.Protocol != verdict.ICMP && r.IntN(4) == 0}
		class := fmt.Sprint(kindOf(p.From), kindOf(p.To), reason)
		byClass[class] = append(byClass[class], q)
	}
	classes := slices.Sorted(maps.Keys(byClass))
	r.Shuffle(len(classes), func(i, j int) { classes[i], classes[j] = classes[j], classes[i] })
	var questions []question
	for len(questions) < perCluster && len(classes) > 0 {
		classes = slices.DeleteFunc(classes, func(class string) bool {
			list := byClass[class]
			i := r.IntN(len(list))
			questions, byClass[class] = append(questions, list[i]), slices.Delete(list, i, i+1)
			return len(byClass[class]) == 0
		})
	}
	return questions[:min(perCluster, len(questions))]
}

func kindOf(p verdict.Peer) string {
	switch {
	case p.Pod != "":
		return "Pod "
	case p.Node != "":
		return "node "
	}
	return "outside "
}

// packetsOf are all packets of a cluster.
func packetsOf(c *verdict.Cluster) []verdict.Packet {
	var pods, others, senders []verdict.Peer
	for _, peer := range c.Peers() {
		if peer.Pod != "" {
			pods = append(pods, peer)
		} else {
			others = append(others, peer)
		}
	}
	for i, node := range c.Nodes {
		for _, addr := range nth(pick("46", "100.64.0.0/16", "fd00:100:64::/112"), i+2) {
			by := verdict.Peer{Node: node.Name, Addr: addr}
			senders, others = append(senders, by), append(others, by)
		}
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
	return slices.Concat(verdict.NewTable(pods, pods, probes).Packets(), verdict.NewTable(pods, others, probes).Packets(), verdict.NewTable(senders, pods, probes).Packets())
}
