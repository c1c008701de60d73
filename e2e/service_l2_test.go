package e2e

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// lanPool gives Services addresses of the nodes' own network, of host number 200 and up.
func (e *env) lanPool(t *testing.T) {
	t.Helper()
	e.subnet(t, "lan", "192.0.2.0/24,2001:db8:1::/64", func(s *v1.SubnetSpec) {
		s.Provider, s.ExcludeIps = v1.ProviderL2, []string{"192.0.2.1..192.0.2.199", "2001:db8:1::1..2001:db8:1::c7"}
	})
}

// l2Service is a Service of ours with its addresses.
func (e *env) l2Service(t *testing.T, namespace, name string, change func(*corev1.ServiceSpec)) (*corev1.Service, []netip.Addr) {
	t.Helper()
	s := e.service(t, namespace, name, func(s *corev1.ServiceSpec) {
		s.Type, s.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, ptr(v1.LoadBalancerClassL2)
		if change != nil {
			change(s)
		}
	})
	await(t, e, s, func(s *corev1.Service) string {
		if len(s.Status.LoadBalancer.Ingress) < 2 {
			return "two addresses"
		}
		return ""
	})
	var list []netip.Addr
	for _, i := range s.Status.LoadBalancer.Ingress {
		list = append(list, netip.MustParseAddr(i.IP))
	}
	return s, list
}

// hostAsker is a machine that is no node.
func (e *env) hostAsker(t *testing.T, machine string) asker {
	t.Helper()
	m, err := e.Machine(machine)
	must(t, err)
	return asker{name: machine, netns: m.NetNS(), sources: e.addressesOf(t, machine)}
}

// answering are the nodes whose links have the address.
func (e *env) answering(t *testing.T, addr netip.Addr) (nodes []string) {
	t.Helper()
	for _, node := range e.Nodes()[:2] {
		if m, err := e.Machine(node); err == nil && m.Alive() && e.run(t, node, "ip", "-o", "address", "show", "to", addr.String()) != "" {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// answeredByOne waits until exactly one node has the address: while the API server is slow, nodes may take each other for dead, and both
// answer until they hear of each other.
func (e *env) answeredByOne(t *testing.T, addr netip.Addr) string {
	t.Helper()
	var nodes []string
	for began := time.Now(); time.Since(began) < timeLimit; {
		if nodes = e.answering(t, addr); len(nodes) == 1 {
			return nodes[0]
		}
	}
	t.Fatalf("%s is answered for by %v", addr, nodes)
	return ""
}

// untilAnswered asks, by one short connection after the other, until somebody answers, and tells how long that took.
func (a asker) untilAnswered(t *testing.T, to string) time.Duration {
	t.Helper()
	began := time.Now()
	for time.Since(began) < timeLimit {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		_, err := a.ask(ctx, "tcp", to)
		cancel()
		if err == nil {
			return time.Since(began)
		}
	}
	t.Fatalf("%s is not answered by %s within %v", a.name, to, timeLimit)
	return 0
}

// assignments lists which nodes began to answer for addresses of a Service, by Events.
func (e *env) assignments(t *testing.T, s *corev1.Service) (list []string) {
	t.Helper()
	var events corev1.EventList
	must(t, e.client.List(t.Context(), &events, client.InNamespace(s.Namespace)))
	for _, event := range events.Items {
		if event.InvolvedObject.Name == s.Name && event.Reason == "nodeAssigned" {
			list = append(list, event.Message)
		}
	}
	slices.Sort(list)
	return list
}

// awaitAssigned waits for the Event that a node, or any, answers for an address.
func (e *env) awaitAssigned(t *testing.T, s *corev1.Service, addr netip.Addr, node string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	about := []client.ListOption{client.InNamespace(s.Namespace), client.MatchingFields{"involvedObject.name": s.Name}}
	must(t, e.watchAll(ctx, &corev1.Event{}, about, func(found client.Object) bool {
		event, _ := found.(*corev1.Event)
		return event != nil && event.Reason == "nodeAssigned" && strings.Contains(event.Message, addr.String()+" ") && strings.Contains(event.Message, node)
	}))
}

// TestServiceL2: a host outside reaches a Service by its addresses, which one node answers for: the same one after its daemon was
// killed, the other one when it is cut off. Nothing else of the node is reached by them.
func TestServiceL2(t *testing.T) {
	e := use(t)
	ns := e.namespace(t, "service-l2", nil)
	e.subnet(t, "service-l2", "10.139.0.0/24,fd00:10:139::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	e.lanPool(t)
	web, vips := e.l2Service(t, ns, "web", nil)
	e.awaitAssigned(t, web, vips[0], "")
	owner := e.answeredByOne(t, vips[0])
	nodes := e.Nodes()[:2]
	other := nodes[(slices.Index(nodes, owner)+1)%2]
	pods := []*corev1.Pod{serving(pod(ns, "one", other), "web"), serving(pod(ns, "two", other), "web")}
	e.start(t, pods...)
	e.balanced(t, web, "tcp", 80, endpointsOf(podPort, pods...)...)
	outside := e.hostAsker(t, "outside-1")
	outside.sources = slices.Concat(e.nodeAsker(t, nodes[0]).sources, e.nodeAsker(t, nodes[1]).sources)
	everybody := []asker{outside, e.nodeAsker(t, nodes[0]), e.nodeAsker(t, nodes[1])}
	for _, vip := range vips {
		for _, a := range everybody {
			if wrong := a.askOften(t.Context(), "tcp", target(vip, 80)).wrong(names(pods...)...); wrong != "" {
				t.Error(wrong)
			}
		}
		e.hostAsker(t, "outside-1").refused(t, "tcp", target(vip, 10250)) // the kubelet's
	}

	before := e.assignments(t, web)
	must(t, e.Kill(owner, "heddle-daemon"))
	e.awaitDaemon(t, owner)
	t.Logf("answered %v after the daemon was ready again", outside.untilAnswered(t, target(vips[0], 80)))
	for _, text := range e.assignments(t, web) {
		if !slices.Contains(before, text) && strings.Contains(text, other) {
			t.Errorf("a quick restart of the daemon has moved an address: %s", text)
		}
	}

	e.run(t, "router", "ip", "link", "set", owner, "down")
	t.Cleanup(func() {
		if said, err := e.Run(context.WithoutCancel(t.Context()), "router", "ip", "link", "set", owner, "up"); err != nil {
			t.Error(err, said)
		}
	})
	for _, vip := range vips {
		t.Logf("%s is answered %v after its node was cut off", vip, outside.untilAnswered(t, target(vip, 80)).Round(10*time.Millisecond))
	}
	for _, vip := range vips {
		if now := e.answering(t, vip); !slices.Equal(now, []string{other}) {
			t.Errorf("%s is answered for by %v, want %s", vip, now, other)
		}
	}
	e.run(t, "router", "ip", "link", "set", owner, "up")
	e.awaitAssigned(t, web, vips[0], owner)
	outside.untilAnswered(t, target(vips[0], 80))
}

// awaitDaemon returns when the daemon on a node runs anew and is ready.
func (e *env) awaitDaemon(t *testing.T, node string) {
	t.Helper()
	var list corev1.PodList
	must(t, e.client.List(t.Context(), &list, client.InNamespace("kube-system"), client.MatchingLabels{"app.kubernetes.io/component": "daemon"},
		client.MatchingFields{"spec.nodeName": node}))
	if len(list.Items) != 1 {
		t.Fatalf("%d daemons on %s", len(list.Items), node)
	}
	restarts := list.Items[0].Status.ContainerStatuses[0].RestartCount
	await(t, e, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: list.Items[0].Name}}, func(p *corev1.Pod) string {
		if s := p.Status.ContainerStatuses; len(s) == 0 || s[0].RestartCount <= restarts || !s[0].Ready {
			return "a daemon that has restarted"
		}
		return ""
	})
}

// TestServiceL2Local: with policy Local, the node of the endpoint answers, and the endpoint sees who asks.
func TestServiceL2Local(t *testing.T) {
	e := use(t)
	ns := e.namespace(t, "service-l2-local", nil)
	e.subnet(t, "service-l2-local", "10.139.1.0/24,fd00:10:139:1::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	e.lanPool(t)
	outside := e.hostAsker(t, "outside-1")
	for i, node := range e.Nodes()[:2] {
		name := []string{"first", "second"}[i]
		s, vips := e.l2Service(t, ns, name, func(s *corev1.ServiceSpec) { s.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal })
		p := serving(pod(ns, name, node), name)
		e.start(t, p)
		e.balanced(t, s, "tcp", 80, endpointsOf(podPort, p)...)
		for _, vip := range vips {
			e.awaitAssigned(t, s, vip, node)
			outside.untilAnswered(t, target(vip, 80))
			if wrong := outside.askOften(t.Context(), "tcp", target(vip, 80)).wrong(name); wrong != "" {
				t.Error(wrong)
			}
			if now := e.answering(t, vip); !slices.Equal(now, []string{node}) {
				t.Errorf("%s is answered for by %v, want %s", vip, now, node)
			}
		}
	}
}
