package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// loadPulse is the time between two requests of one asker: each is a connection of its own.
const loadPulse = 5 * time.Millisecond

// load asks a Service all the time.
type load struct {
	mu       sync.Mutex
	asked    int
	who      map[string]int
	failures []string
	lost     []string // connections that were opened by a second packet, or by none
}

// startLoad asks by all addresses of a Service from all askers, until the returned function is called.
func startLoad(t *testing.T, s *corev1.Service, askers ...asker) func() *load {
	t.Helper()
	l := &load{who: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	stop := func() *load { cancel(); running.Wait(); return l }
	t.Cleanup(func() { stop() })
	for _, a := range askers {
		for _, vip := range vipsOf(s) {
			running.Go(func() { l.run(ctx, a, target(vip, s.Spec.Ports[0].Port)) })
		}
	}
	return stop
}

func (l *load) run(ctx context.Context, a asker, target string) {
	tick := time.NewTicker(loadPulse)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		h, err := a.ask(context.WithoutCancel(ctx), "tcp", target)
		l.note(a, target, h, err, time.Since(began))
	}
}

func (l *load) note(a asker, target string, h heard, err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	what := fmt.Sprintf("%s to %s: %q, error %v, after %v", a.name, target, h.who, err, took)
	if took > time.Second {
		l.lost = append(l.lost, what)
	}
	switch {
	case err == nil:
		l.who[h.who]++
	case !timedOut(err):
		l.failures = append(l.failures, what)
	}
}

// timedOut tells that nobody answered: not while the connection was opened, and not on it.
func timedOut(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// assert wants no connection refused or cut, and at most so many to which no answer came for a second.
func (l *load) assert(t *testing.T, lost int) {
	t.Helper()
	t.Logf("%d requests, each by a connection of its own: %d failed, %d lost a packet %q; answered by %v", l.asked, len(l.failures), len(l.lost), l.lost, l.who)
	if len(l.failures) > 0 || len(l.lost) > lost {
		t.Errorf("%d of %d requests failed: %q; %d lost a packet, want at most %d",
			len(l.failures), l.asked, l.failures[:min(len(l.failures), 5)], len(l.lost), lost)
	}
}

// deployment is what a user writes who wants an update without a failed request: Pods are endpoints when they are ready, and one
// that is to end serves on until everybody has heard of it.
func (e *env) deployment(t *testing.T, namespace, name string) *appsv1.Deployment {
	t.Helper()
	p := serving(pod(namespace, name, ""), name)
	p.Spec.TerminationGracePeriodSeconds = ptr(int64(10))
	p.Spec.Containers[0].ReadinessProbe = probe("/readyz", podPort)
	p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 3}}}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr(int32(3)),
			Selector: &metav1.LabelSelector{MatchLabels: p.Labels},
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: ptr(intstr.FromInt(0)), MaxSurge: ptr(intstr.FromInt(1))},
			},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: p.Labels}, Spec: p.Spec},
		},
	}
	e.create(t, d)
	await(t, e, d, rolledOut)
	return d
}

func rolledOut(d *appsv1.Deployment) string {
	s := d.Status
	if s.ObservedGeneration < d.Generation || s.UpdatedReplicas != *d.Spec.Replicas || s.Replicas != *d.Spec.Replicas || s.AvailableReplicas != *d.Spec.Replicas {
		return fmt.Sprintf("not rolled out: %+v", s)
	}
	return ""
}

// underLoad is a Deployment behind a Service, and those who ask it: a Pod and both nodes.
func (e *env) underLoad(t *testing.T, namespace, cidr string) (*appsv1.Deployment, *corev1.Service, []asker) {
	t.Helper()
	e.namespace(t, namespace, nil)
	e.subnet(t, namespace, cidr, func(s *v1.SubnetSpec) { s.Namespaces = []string{namespace} })
	nodes := e.Nodes()[:2]
	c := pod(namespace, "client", nodes[0])
	s := e.service(t, namespace, "web", nil)
	e.start(t, c)
	d := e.deployment(t, namespace, "web")
	var pods corev1.PodList
	must(t, e.client.List(t.Context(), &pods, client.InNamespace(namespace), client.MatchingLabels{label: "web"}))
	var endpoints []*corev1.Pod
	for i := range pods.Items {
		endpoints = append(endpoints, &pods.Items[i])
	}
	e.balanced(t, s, "tcp", 80, endpointsOf(podPort, endpoints...)...)
	return d, s, []asker{e.podAsker(t, c), e.nodeAsker(t, nodes[0]), e.nodeAsker(t, nodes[1])}
}

// TestServiceRollingUpdate: no request is refused or cut while all Pods of a Deployment are replaced. Open vSwitch loses packets in the
// moment in which ovn-controller replaces the flows and the group of a VIP; a connection whose first packet this is takes a second.
func TestServiceRollingUpdate(t *testing.T) {
	e := use(t)
	d, s, askers := e.underLoad(t, "service-rolling", "10.122.0.0/24,fd00:10:122::/112")
	stop := startLoad(t, s, askers...)
	update(t, e, d, func(d *appsv1.Deployment) { d.Spec.Template.Annotations = map[string]string{"e2e": "new"} })
	t.Logf("rolled out after %v", await(t, e, d, rolledOut).Round(time.Millisecond))
	l := stop()
	l.assert(t, l.asked/100)
}

// TestServiceKills: no request fails while parts of Heddle that no packet passes are killed.
func TestServiceKills(t *testing.T) {
	e := use(t)
	_, s, askers := e.underLoad(t, "service-kills", "10.123.0.0/24,fd00:10:123::/112")
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
			stop := startLoad(t, s, askers...)
			v.kill(c, t)
			c.awaitRestarts(t, v, before)
			c.awaitComponents(t)
			stop().assert(t, 0)
		})
	}
}
