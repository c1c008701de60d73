package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// outside is a cluster with Pods a and c on its first node and b on the second one, a client on each node, and two hosts that are not of
// the cluster. Every question is asked 50 times, by TCP and UDP, IPv4 and IPv6.
type outside struct {
	*env
	namespace string
	nodes     []string
	pods      []*corev1.Pod // a, b, c
	clients   []asker       // Pods, one on each node
	hosts     []asker       // outside
}

// Selectors of Services: all endpoints, or those on the first node.
var (
	everywhere  = map[string]string{label: "web"}
	onFirstNode = map[string]string{label: "web", "e2e-node": "first"}
)

func newOutside(t *testing.T, name, cidr string) *outside {
	t.Helper()
	o := &outside{env: use(t), namespace: name}
	o.env.namespace(t, name, nil)
	o.subnet(t, name, cidr, func(s *v1.SubnetSpec) { s.Namespaces, s.NatOutgoing = []string{name}, true })
	o.nodes = o.Nodes()[:2]
	o.pods = []*corev1.Pod{serving(pod(name, "a", o.nodes[0]), "web"), serving(pod(name, "b", o.nodes[1]), "web"), serving(pod(name, "c", o.nodes[0]), "web")}
	for _, p := range []*corev1.Pod{o.pods[0], o.pods[2]} {
		p.Labels["e2e-node"] = "first"
	}
	clients := []*corev1.Pod{pod(name, "client-1", o.nodes[0]), pod(name, "client-2", o.nodes[1])}
	o.start(t, slices.Concat(o.pods, clients)...)
	for _, p := range clients {
		o.clients = append(o.clients, o.podAsker(t, p))
	}
	for len(o.OutsideHosts()) < 2 {
		_, err := o.AddOutsideHost()
		must(t, err)
	}
	for _, host := range o.OutsideHosts()[:2] {
		m, err := o.Machine(host)
		must(t, err)
		o.hosts = append(o.hosts, asker{name: host, netns: m.NetNS(), sources: o.addressesOf(t, host)})
	}
	return o
}

// as is the same asker, whom servers see by other addresses.
func (a asker) as(sources ...netip.Addr) asker {
	a.sources = sources
	return a
}

// made makes a Service with TCP and UDP at port 80.
func (o *outside) made(t *testing.T, name string, kind corev1.ServiceType, selector map[string]string, change func(*corev1.ServiceSpec)) *corev1.Service {
	t.Helper()
	return o.service(t, o.namespace, name, func(s *corev1.ServiceSpec) {
		s.Type, s.Selector = kind, selector
		s.Ports = append(s.Ports, corev1.ServicePort{Name: "udp", Port: 80, TargetPort: s.Ports[0].TargetPort, Protocol: corev1.ProtocolUDP})
		if change != nil {
			change(s)
		}
	})
}

func local(s *corev1.ServiceSpec) { s.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }

// frontend is where a Service is asked.
type frontend struct{ protocol, target string }

// text is how nft shows it.
func (f frontend) text() string {
	at := netip.MustParseAddrPort(f.target)
	return fmt.Sprintf("%s . %s . %d ", at.Addr(), f.protocol, at.Port())
}

func nodePorts(s *corev1.Service, addresses []netip.Addr) []frontend {
	return frontends(s, addresses, func(p corev1.ServicePort) int32 { return p.NodePort })
}

func ports(s *corev1.Service, addresses []netip.Addr) []frontend {
	return frontends(s, addresses, func(p corev1.ServicePort) int32 { return p.Port })
}

func frontends(s *corev1.Service, addresses []netip.Addr, port func(corev1.ServicePort) int32) (list []frontend) {
	for _, p := range s.Spec.Ports {
		for _, a := range addresses {
			list = append(list, frontend{strings.ToLower(string(p.Protocol)), target(a, port(p))})
		}
	}
	return list
}

// balancedBy waits until OVN leads to these endpoints, and every node has each of its frontends in a set of Services, with this after it.
func (o *outside) balancedBy(t *testing.T, s *corev1.Service, endpoints []netip.AddrPort, at func(node string) ([]frontend, string)) {
	t.Helper()
	o.balanced(t, s, "tcp", 80, endpoints...)
	o.balanced(t, s, "udp", 80, endpoints...)
	for _, node := range o.nodes {
		list, then := at(node)
		lacks := func(f frontend) bool { return !strings.Contains(o.nft(t, node), f.text()+then) }
		for began := time.Now(); slices.ContainsFunc(list, lacks); {
			if time.Since(began) > timeLimit {
				t.Fatalf("%s does not have %v followed by %q:\n%s", node, list, then, o.nft(t, node))
			}
		}
	}
}

// nft shows the node's table in one line, each element followed by a space. It is the image's program: that of Debian 12 crashes.
func (o *outside) nft(t *testing.T, node string) string {
	t.Helper()
	var list corev1.PodList
	must(t, o.client.List(t.Context(), &list, client.InNamespace("kube-system"), client.MatchingLabels{"app.kubernetes.io/component": "daemon"},
		client.MatchingFields{"spec.nodeName": node}))
	text := o.kubectl(t, "-n", "kube-system", "exec", list.Items[0].Name, "-c", "daemon", "--", "nft", "list", "table", "inet", "heddle")
	return strings.Join(strings.Fields(strings.ReplaceAll(text, ",", " ")), " ")
}

// onNodePorts waits for a Service at the NodePorts of all nodes, with all its endpoints being Pods.
func (o *outside) onNodePorts(t *testing.T, s *corev1.Service, pods ...*corev1.Pod) {
	t.Helper()
	o.balancedBy(t, s, endpointsOf(podPort, pods...), func(node string) ([]frontend, string) { return nodePorts(s, o.addressesOf(t, node)), "" })
}

// inquiry is a question asked by somebody, and the answer: these Pods and nobody else, or none of a kind.
type inquiry struct {
	from asker
	at   []frontend
	who  []string
	none string // refused or silent
}

const (
	isRefused = "refused" // at once
	isSilent  = "silent"  // no answer
)

// asked asks all questions side by side.
func (o *outside) asked(t *testing.T, list ...inquiry) {
	t.Helper()
	began := time.Now()
	results := make(chan []string)
	for _, q := range list {
		go func() { results <- q.wrong(t) }()
	}
	cases := 0
	for _, q := range list {
		cases += len(q.at)
		for _, wrong := range <-results {
			t.Error(wrong)
		}
	}
	t.Logf("%d cases of %d connections in %v", cases, tries, time.Since(began).Round(time.Millisecond))
}

func (q inquiry) wrong(t *testing.T) (list []string) {
	for _, f := range q.at {
		var wrong string
		switch q.none {
		case "":
			wrong = q.from.askOften(t.Context(), f.protocol, f.target).wrong(q.who...)
		default:
			wrong = q.from.without(t.Context(), f, q.none)
		}
		if wrong != "" {
			list = append(list, f.protocol+": "+wrong)
		}
	}
	return list
}

// TestServiceOutsideNodePort asks the NodePorts of every node: from outside, from Pods and from nodes, at their own node and at another one.
func TestServiceOutsideNodePort(t *testing.T) {
	t.Parallel()
	o := newOutside(t, "outside-nodeport", "10.146.0.0/24,fd00:10:146::/112")
	all, first := names(o.pods...), names(o.pods[0], o.pods[2])
	cluster := o.made(t, "cluster", corev1.ServiceTypeNodePort, everywhere, nil)
	kept := o.made(t, "local", corev1.ServiceTypeNodePort, onFirstNode, local)
	none := o.made(t, "none", corev1.ServiceTypeNodePort, map[string]string{label: "none"}, nil)
	o.onNodePorts(t, cluster, o.pods...)
	o.onNodePorts(t, kept, o.pods[0], o.pods[2])
	o.onNodePorts(t, none)
	var list []inquiry
	for i, node := range o.nodes {
		at, join := o.addressesOf(t, node), o.nodeAsker(t, node).sources
		everybody := slices.Concat(o.hosts[:1], o.clients, []asker{o.nodeAsker(t, o.nodes[0]), o.nodeAsker(t, o.nodes[1])})
		for k, a := range everybody {
			list = append(list,
				inquiry{from: a.as(join...), at: nodePorts(cluster, at), who: all},
				inquiry{from: a, at: nodePorts(none, at), none: isRefused})
			if k > 0 && k-1 < len(o.clients) || a.name == "node "+node {
				list = append(list, inquiry{from: a.as(join...), at: nodePorts(kept, at), who: first})
			}
		}
		if fromOutside := (inquiry{from: o.hosts[0], at: nodePorts(kept, at), who: first}); i > 0 {
			fromOutside.none = isSilent
			list = append(list, fromOutside)
		} else {
			list = append(list, fromOutside)
		}
	}
	o.asked(t, list...)
}

// TestServiceOutsideAddresses asks external addresses and those of load balancers, which the router leads to each node in turn.
func TestServiceOutsideAddresses(t *testing.T) {
	t.Parallel()
	o := newOutside(t, "outside-address", "10.146.1.0/24,fd00:10:146:1::/112")
	all := names(o.pods...)
	external := o.made(t, "external", corev1.ServiceTypeClusterIP, everywhere, func(s *corev1.ServiceSpec) {
		s.ExternalIPs = []string{"203.0.113.90", "2001:db8:113::90"}
	})
	balancer := o.made(t, "balancer", corev1.ServiceTypeLoadBalancer, everywhere, func(s *corev1.ServiceSpec) {
		s.LoadBalancerSourceRanges, s.AllocateLoadBalancerNodePorts = hostRanges(o.hosts[0].sources), ptr(false)
	})
	kept := o.made(t, "kept", corev1.ServiceTypeLoadBalancer, onFirstNode, local)
	proxy := o.made(t, "proxy", corev1.ServiceTypeLoadBalancer, everywhere, nil)
	vip, proxied := corev1.LoadBalancerIPModeVIP, corev1.LoadBalancerIPModeProxy
	at := map[*corev1.Service][]netip.Addr{
		external: {netip.MustParseAddr("203.0.113.90"), netip.MustParseAddr("2001:db8:113::90")},
		balancer: o.ingress(t, balancer, &vip, "203.0.113.91", "2001:db8:113::91"),
		kept:     o.ingress(t, kept, nil, "203.0.113.92", "2001:db8:113::92"),
		proxy:    o.ingress(t, proxy, &proxied, "203.0.113.93", "2001:db8:113::93"),
	}
	for _, s := range []*corev1.Service{external, balancer, kept} {
		pods := o.pods
		if s == kept {
			pods = []*corev1.Pod{o.pods[0], o.pods[2]}
		}
		o.balancedBy(t, s, endpointsOf(podPort, pods...), func(string) ([]frontend, string) { return ports(s, at[s]), "" })
	}
	o.onNodePorts(t, proxy, o.pods...)
	if port := balancer.Spec.Ports[0].NodePort; port != 0 {
		t.Errorf("NodePort %d in spite of allocateLoadBalancerNodePorts: false", port)
	}
	for i, node := range o.nodes {
		t.Run(node, func(t *testing.T) {
			for _, addresses := range at {
				for k, a := range addresses {
					o.run(t, "router", "ip", "route", "replace", a.String(), "via", o.addressesOf(t, node)[k].String())
				}
			}
			join := o.nodeAsker(t, node).sources
			list := []inquiry{
				{from: o.hosts[0].as(join...), at: ports(external, at[external]), who: all},
				{from: o.hosts[1].as(join...), at: ports(external, at[external]), who: all},
				{from: o.hosts[0].as(join...), at: ports(balancer, at[balancer]), who: all},
				{from: o.hosts[1], at: ports(balancer, at[balancer]), none: isSilent},
				{from: o.hosts[0], at: ports(balancer, o.addressesOf(t, node))[:1], none: isRefused}, // port 80 of the node is nobody's
				{from: o.hosts[0], at: ports(kept, at[kept]), who: names(o.pods[0], o.pods[2]), none: []string{"", isSilent}[i]},
				{from: o.hosts[0].as(join...), at: nodePorts(proxy, o.addressesOf(t, node)), who: all},
				{from: o.nodeAsker(t, node), at: ports(external, at[external]), who: all},
				{from: o.clients[i], at: ports(external, at[external]), who: all},
				{from: o.clients[i], at: ports(balancer, at[balancer]), none: isSilent}, // Pods are outside of the ranges, too
				{from: o.clients[i], at: ports(kept, at[kept]), who: names(o.pods[0], o.pods[2])},
			}
			o.asked(t, list...)
			for _, f := range ports(proxy, at[proxy]) {
				if strings.Contains(o.nft(t, node), f.text()) {
					t.Errorf("%s answers for %s, which is the load balancer's own affair", node, f.target)
				}
			}
		})
	}
	for _, addresses := range at {
		for _, a := range addresses {
			o.run(t, "router", "ip", "route", "del", a.String())
		}
	}
}

// hostRanges are CIDRs of single hosts.
func hostRanges(list []netip.Addr) (texts []string) {
	for _, a := range list {
		texts = append(texts, netip.PrefixFrom(a, a.BitLen()).String())
	}
	return texts
}

// ingress gives a Service the addresses that a load balancer would.
func (o *outside) ingress(t *testing.T, s *corev1.Service, mode *corev1.LoadBalancerIPMode, texts ...string) (list []netip.Addr) {
	t.Helper()
	for _, text := range texts {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: text, IPMode: mode})
		list = append(list, netip.MustParseAddr(text))
	}
	must(t, o.client.Status().Update(t.Context(), s))
	return list
}

// TestServiceOutsideAffinity: at each node, a client from outside stays with its endpoint.
func TestServiceOutsideAffinity(t *testing.T) {
	t.Parallel()
	o := newOutside(t, "outside-affinity", "10.146.2.0/24,fd00:10:146:2::/112")
	s := o.made(t, "sticky", corev1.ServiceTypeNodePort, everywhere, func(s *corev1.ServiceSpec) { s.SessionAffinity = corev1.ServiceAffinityClientIP })
	o.onNodePorts(t, s, o.pods...)
	var list []inquiry
	for _, node := range o.nodes {
		join := o.nodeAsker(t, node).sources
		for _, host := range o.hosts {
			for _, f := range nodePorts(s, o.addressesOf(t, node)) {
				stays, err := host.ask(t.Context(), f.protocol, f.target)
				must(t, err)
				list = append(list, inquiry{from: host.as(join...), at: []frontend{f}, who: []string{stays.who}})
			}
		}
	}
	o.asked(t, list...)
}

// TestServiceOutsideHealthCheck: a node says that it has endpoints when it has.
func TestServiceOutsideHealthCheck(t *testing.T) {
	t.Parallel()
	o := newOutside(t, "outside-health", "10.146.3.0/24,fd00:10:146:3::/112")
	s := o.made(t, "checked", corev1.ServiceTypeLoadBalancer, onFirstNode, local)
	o.healthy(t, s, http.StatusOK, http.StatusServiceUnavailable)
	update(t, o.env, s, func(s *corev1.Service) { s.Spec.Selector = everywhere })
	o.healthy(t, s, http.StatusOK, http.StatusOK)
	o.stop(t, o.pods[0], o.pods[2])
	o.healthy(t, s, http.StatusServiceUnavailable, http.StatusOK)
}

// healthy waits until the nodes answer so.
func (o *outside) healthy(t *testing.T, s *corev1.Service, want ...int) {
	t.Helper()
	for i, node := range o.nodes {
		for _, a := range o.addressesOf(t, node) {
			said := ""
			for began := time.Now(); said != fmt.Sprint(want[i]); {
				if time.Since(began) > timeLimit {
					t.Fatalf("%s says %q of %s, want %d", node, said, s.Name, want[i])
				}
				url := "http://" + target(a, s.Spec.HealthCheckNodePort)
				said, _ = o.Run(t.Context(), "outside-1", "curl", "-g", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", url) // nobody listens yet
			}
		}
	}
}

// TestServiceOutsideByHand has endpoints that are not of the overlay: a server in a node's own network, and another host outside.
func TestServiceOutsideByHand(t *testing.T) {
	t.Parallel()
	o := newOutside(t, "outside-by-hand", "10.146.4.0/24,fd00:10:146:4::/112")
	const port = 18097
	var list []inquiry
	for name, machine := range map[string]string{"host-network": o.nodes[1], "other-host": o.hosts[1].name} {
		s := o.made(t, name, corev1.ServiceTypeNodePort, nil, func(s *corev1.ServiceSpec) {
			s.Ports[0].TargetPort, s.Ports[1].TargetPort = intstr.FromInt(port), intstr.FromInt(port)
		})
		var endpoints []netip.AddrPort
		for _, address := range o.addressesOf(t, machine) {
			endpoints = append(endpoints, netip.AddrPortFrom(address, port))
			o.serveIn(t, machine, netip.AddrPortFrom(address, port))
			o.serveDatagrams(t, machine, netip.AddrPortFrom(address, port))
		}
		o.endpointSlices(t, s, endpoints...)
		o.balancedBy(t, s, endpoints, func(node string) ([]frontend, string) { return nodePorts(s, o.addressesOf(t, node)), ": goto" })
		for i, node := range o.nodes {
			seen := o.addressesOf(t, node)
			if machine == node {
				seen = o.hosts[0].sources // nothing has to bring the answer back here
			}
			list = append(list,
				inquiry{from: o.hosts[0].as(seen...), at: nodePorts(s, o.addressesOf(t, node)), who: []string{machine}},
				inquiry{from: o.clients[i].as(slices.Concat(o.addressesOf(t, node), o.clients[i].sources, o.nodeAsker(t, node).sources)...), at: nodePorts(s, o.addressesOf(t, node)), who: []string{machine}},
				inquiry{from: o.nodeAsker(t, node).as(slices.Concat(o.addressesOf(t, node), o.nodeAsker(t, node).sources)...), at: nodePorts(s, o.addressesOf(t, node)), who: []string{machine}})
		}
	}
	o.asked(t, list...)
}

// TestServiceOutsideTerminating: an endpoint that is about to end keeps the connections that came through a NodePort, and its flows of UDP
// go to another one.
func TestServiceOutsideTerminating(t *testing.T) {
	t.Parallel()
	o := newOutside(t, "outside-ending", "10.146.5.0/24,fd00:10:146:5::/112")
	for name, policy := range map[string]func(*corev1.ServiceSpec){"cluster": nil, "local": local} {
		t.Run(name, func(t *testing.T) {
			pods := []*corev1.Pod{lingering(o.namespace, name+"-stays", o.nodes[0]), lingering(o.namespace, name+"-ends", o.nodes[0])}
			o.start(t, serving(pods[0], name), serving(pods[1], name))
			s := o.made(t, name, corev1.ServiceTypeNodePort, map[string]string{label: name}, policy)
			o.onNodePorts(t, s, pods...)
			nodes := o.nodes
			if policy != nil {
				nodes = o.nodes[:1]
			}
			o.ends(t, s, nodes, pods)
		})
	}
}

// ends has connections and flows through each of the nodes to the last Pod while that is deleted.
func (o *outside) ends(t *testing.T, s *corev1.Service, nodes []string, pods []*corev1.Pod) {
	t.Helper()
	var held []net.Conn
	var flows []datagrams
	for _, node := range nodes {
		for _, f := range nodePorts(s, o.addressesOf(t, node)) {
			if f.protocol == "udp" {
				flows = append(flows, o.hosts[0].startDatagrams(t, f.target, pods[1].Name))
			} else {
				held = append(held, o.hosts[0].connectTo(t, f.target, pods[1].Name))
			}
		}
	}
	began := time.Now()
	o.remove(t, pods[1])
	for _, flow := range flows {
		took, err := flow.reaches(pods[0].Name, began)
		if err != nil {
			t.Errorf("%s, whose endpoint ends: %v", flow.name, err)
		}
		t.Logf("%s reaches another endpoint after %v", flow.name, took.Round(time.Millisecond))
	}
	for _, conn := range held {
		if who, err := overTCP(conn, "hostname"); err != nil || who != pods[1].Name {
			t.Errorf("a connection to %s that was there before its end: answer %q, error %v", conn.RemoteAddr(), who, err)
		}
	}
}
