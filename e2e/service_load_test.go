package e2e

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// loadPulse is the time between two requests to one target: each is a connection of its own.
const loadPulse = 5 * time.Millisecond

// aim is one who asks, and what he asks.
type aim struct {
	asker
	target string
}

// askOnce opens a connection for one question, and tells whether its first packet was lost.
func (a aim) askOnce(ctx context.Context) (who string, lost bool, err error) {
	conn, err := a.dial(ctx, "tcp", a.target)
	if err != nil {
		return "", false, err
	}
	defer conn.Close()
	if lost, err = firstLost(conn.(*net.TCPConn)); err != nil {
		return "", lost, err
	}
	who, err = overTCP(conn, "hostname")
	return who, lost, err
}

// firstTimeout is after how long Linux sends the first packet again (RFC 6298, section 2.1), in the unit of TCP_INFO.
const firstTimeout = uint32(time.Second / time.Microsecond)

// firstLost tells of a new connection whether the other side has answered a repetition of the first packet. A repetition alone proves
// nothing: the answer may have been slow. The round trip does, which the kernel takes from the time stamp in the answer.
func firstLost(conn *net.TCPConn) (lost bool, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false, err
	}
	if failed := raw.Control(func(fd uintptr) {
		var info *unix.TCPInfo
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			lost = info.Total_retrans > 0 && info.Rtt < firstTimeout
		}
	}); failed != nil {
		return false, failed
	}
	return lost, err
}

// load asks all the time.
type load struct {
	mu       sync.Mutex
	asked    int
	who      map[string]int
	failures []string
	lost     []string // connections whose first packet was lost
}

// startLoad asks at all targets until the returned function is called.
func startLoad(t *testing.T, aims []aim) func() *load {
	t.Helper()
	l := &load{who: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	stop := func() *load { cancel(); running.Wait(); return l }
	t.Cleanup(func() { stop() })
	for _, a := range aims {
		running.Go(func() { l.run(ctx, a) })
	}
	return stop
}

func (l *load) run(ctx context.Context, a aim) {
	tick := time.NewTicker(loadPulse)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		who, lost, err := a.askOnce(context.WithoutCancel(ctx))
		l.note(who, lost, err, fmt.Sprintf("%s %s to %s: %q, error %v, after %v", began.Format("15:04:05.000"), a.name, a.target, who, err, time.Since(began)))
	}
}

func (l *load) note(who string, lost bool, err error, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if lost {
		l.lost = append(l.lost, what)
	}
	if err != nil {
		l.failures = append(l.failures, what)
		return
	}
	l.who[who]++
}

// assert wants an answer to each request, and hardly any connection whose first packet was lost: what is left of these on a busy machine
// is in docs/decisions/0009-flows-change-under-load.md.
func (l *load) assert(t *testing.T) {
	t.Helper()
	t.Logf("%d requests, each by a connection of its own: %d failed, %d lost their first packet %q; answered by %v",
		l.asked, len(l.failures), len(l.lost), l.lost, l.who)
	if len(l.failures) > 0 || len(l.lost) > max(1, l.asked/500) {
		t.Errorf("%d of %d requests failed: %q; %d lost their first packet", len(l.failures), l.asked, l.failures[:min(len(l.failures), 10)], len(l.lost))
	}
}

// deployment is what a user writes who wants an update without a failed request: Pods are endpoints when they are ready, and one
// that is to end serves on until everybody has heard of it. Its Pods are on one node.
func (e *env) deployment(t *testing.T, namespace, service, node string) *appsv1.Deployment {
	t.Helper()
	p := serving(pod(namespace, "", node), service)
	p.Labels["e2e-node"] = node
	p.Spec.TerminationGracePeriodSeconds = ptr(int64(15))
	p.Spec.Containers[0].ReadinessProbe = probe("/readyz", podPort)
	p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 5}}}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: service + "-" + node},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr(int32(2)),
			Selector: &metav1.LabelSelector{MatchLabels: p.Labels},
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: ptr(intstr.FromInt(0)), MaxSurge: ptr(intstr.FromInt(1))},
			},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: p.Labels}, Spec: p.Spec},
		},
	}
	e.create(t, d)
	return d
}

func rolledOut(d *appsv1.Deployment) string {
	s := d.Status
	if s.ObservedGeneration < d.Generation || s.UpdatedReplicas != *d.Spec.Replicas || s.Replicas != *d.Spec.Replicas || s.AvailableReplicas != *d.Spec.Replicas {
		return fmt.Sprintf("not rolled out: %+v", s)
	}
	return ""
}

// underLoad is a Service of Pods on both nodes, and all who ask it: a Pod, both nodes, and a host outside by a port of each node, which is
// once of policy Cluster and once of policy Local.
func (e *env) underLoad(t *testing.T, namespace, cidr string) ([]*appsv1.Deployment, []aim) {
	t.Helper()
	e.namespace(t, namespace, nil)
	e.subnet(t, namespace, cidr, func(s *v1.SubnetSpec) { s.Namespaces = []string{namespace} })
	nodes := e.Nodes()[:2]
	web := e.service(t, namespace, "web", func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeNodePort })
	local := e.service(t, namespace, "local", func(s *corev1.ServiceSpec) {
		s.Type, s.Selector, s.ExternalTrafficPolicy = corev1.ServiceTypeNodePort, web.Spec.Selector, corev1.ServiceExternalTrafficPolicyLocal
	})
	deployments := []*appsv1.Deployment{e.deployment(t, namespace, "web", nodes[0]), e.deployment(t, namespace, "web", nodes[1])}
	c := pod(namespace, "client", nodes[0])
	e.start(t, c)
	for _, d := range deployments {
		await(t, e, d, rolledOut)
	}
	e.settled(t, namespace, web, local)
	aims := e.aimsOutside(t, nodes, web, local)
	for _, vip := range vipsOf(web) {
		for _, a := range []asker{e.podAsker(t, c), e.nodeAsker(t, nodes[0]), e.nodeAsker(t, nodes[1])} {
			aims = append(aims, aim{a, target(vip, 80)})
		}
	}
	return deployments, aims
}

// settled waits until all nodes have the Pods as endpoints of both Services in OVN.
func (e *env) settled(t *testing.T, namespace string, cluster, local *corev1.Service) {
	t.Helper()
	var pods corev1.PodList
	must(t, e.client.List(t.Context(), &pods, client.InNamespace(namespace), client.MatchingLabels{label: "web"}))
	var endpoints []*corev1.Pod
	for i := range pods.Items {
		endpoints = append(endpoints, &pods.Items[i])
	}
	for _, s := range []*corev1.Service{cluster, local} {
		e.balanced(t, s, "tcp", 80, endpointsOf(podPort, endpoints...)...)
	}
}

// aimsOutside are the ports of the Services on each node, for a host outside.
func (e *env) aimsOutside(t *testing.T, nodes []string, services ...*corev1.Service) (aims []aim) {
	t.Helper()
	m, err := e.Machine("outside-1")
	must(t, err)
	for _, node := range nodes {
		for _, address := range e.addressesOf(t, node) {
			for _, s := range services {
				port := s.Spec.Ports[0].NodePort
				a := aim{asker{name: "outside-1", netns: m.NetNS()}, target(address, port)}
				e.awaitAnswer(t, node, a)
				aims = append(aims, a)
			}
		}
	}
	return aims
}

// awaitAnswer asks whenever the node's nftables change, until there is an answer.
func (e *env) awaitAnswer(t *testing.T, node string, a aim) {
	t.Helper()
	m, err := e.Machine(node)
	must(t, err)
	var changes *nl.NetlinkSocket
	must(t, ns.WithNetNSPath(m.NetNS(), func(ns.NetNS) (err error) {
		changes, err = nl.Subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
		return err
	}))
	defer changes.Close()
	must(t, changes.SetReceiveTimeout(&unix.Timeval{Sec: int64(timeLimit.Seconds())}))
	for {
		_, _, failed := a.askOnce(t.Context())
		if failed == nil {
			return
		}
		if _, _, err := changes.Receive(); err != nil {
			t.Fatalf("%s is not answered at %s: %v (%v)", a.name, a.target, failed, err)
		}
	}
}

var dropCounter = regexp.MustCompile(`(?m)^((?:datapath_)?drop_\w+).* total: (\d+)$`)

// drops are the packets that Open vSwitch says it has dropped, by node and reason (ovs-vswitchd(8), coverage/show).
func (e *env) drops(t *testing.T) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, node := range e.Nodes()[:2] {
		said := e.run(t, node, "sh", "-c", "ovs-appctl --target=/var/run/openvswitch/ovs-vswitchd.$(cat /var/run/openvswitch/ovs-vswitchd.pid).ctl coverage/show")
		for _, found := range dropCounter.FindAllStringSubmatch(said, -1) {
			n, err := strconv.Atoi(found[2])
			must(t, err)
			counts[node+" "+found[1]] = n
		}
	}
	return counts
}

// TestServiceRollingUpdate: no request fails while all Pods behind a Service are replaced.
func TestServiceRollingUpdate(t *testing.T) {
	e := use(t)
	deployments, aims := e.underLoad(t, "service-rolling", "10.122.0.0/24,fd00:10:122::/112")
	before := e.drops(t)
	stop := startLoad(t, aims)
	for _, d := range deployments {
		update(t, e, d, func(d *appsv1.Deployment) { d.Spec.Template.Annotations = map[string]string{"e2e": "new"} })
	}
	for _, d := range deployments {
		t.Logf("%s rolled out after %v", d.Name, await(t, e, d, rolledOut).Round(time.Millisecond))
	}
	l := stop()
	for what, n := range e.drops(t) {
		t.Logf("%s: %d", what, n-before[what])
	}
	l.assert(t)
}

// TestServiceKills: no request fails while parts of Heddle that no packet passes are killed, and connections outlive them.
func TestServiceKills(t *testing.T) {
	e := use(t)
	_, aims := e.underLoad(t, "service-kills", "10.123.0.0/24,fd00:10:123::/112")
	c := &chaos{observer: observe(t, e.Cluster)}
	if !c.seen.WaitForCacheSync(t.Context()) {
		t.Fatal("the watches tell nothing")
	}
	c.awaitComponents(t)
	for _, v := range victims {
		if !slices.Contains([]string{"controller", "daemon", "northd"}, v.container) {
			continue
		}
		t.Run(v.container, func(t *testing.T) {
			before := c.restarts(t, v)
			use := hold(t, aims)
			stop := startLoad(t, aims)
			v.kill(c, t)
			c.awaitRestarts(t, v, before)
			c.awaitComponents(t)
			stop().assert(t)
			use()
		})
	}
}

// hold opens a connection to each target and asks by it. The returned function asks the same one by it.
func hold(t *testing.T, aims []aim) (use func()) {
	t.Helper()
	var uses []func()
	for _, a := range aims {
		conn, err := a.dial(t.Context(), "tcp", a.target)
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		who, err := overTCP(conn, "hostname")
		must(t, err)
		uses = append(uses, func() {
			if again, err := overTCP(conn, "hostname"); err != nil || again != who {
				t.Errorf("%s hears %q from %s by an old connection, error %v; want %q", a.name, again, a.target, err, who)
			}
		})
	}
	return func() {
		for _, use := range uses {
			use()
		}
		t.Logf("%d connections were held", len(uses))
	}
}
