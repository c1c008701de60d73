package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// What the test costs. A round is a kill and all that has to hold after it.
const (
	chaosWorkers  = 8                // Pods at a time
	chaosLives    = 8                // Pods that come and go after each kill, when all is ready again
	chaosChurned  = 200              // Pods that come and go in all, at least
	recoveryLimit = 3 * time.Minute  // for anything to come back
	agreeLimit    = 90 * time.Second // for the cluster to come to rest
)

// victim is a process that is killed as by kill -9, wherever it runs.
type victim struct {
	name string
	kill func(*chaos, *testing.T)
	// restarts are the component and the container that start again; none where that is no container, or where the container goes on.
	component, container string
	// mayBreak: established connections may end.
	mayBreak bool
}

var victims = []victim{
	{name: "nothing", kill: func(*chaos, *testing.T) {}}, // what the others are compared with
	{name: "heddle-controller that leads", kill: (*chaos).killLeader, component: "controller", container: "controller"},
	{name: "heddle-daemon", kill: onNodes("heddle-daemon"), component: "daemon", container: "daemon"},
	{name: "ovn-northd", kill: onCentral("ovn-northd"), component: "ovn-central", container: "northd"},
	{name: "NB", kill: onCentral("ovsdb-server", "ovnnb_db"), component: "ovn-central", container: "nb"},
	{name: "SB", kill: onCentral("ovsdb-server", "ovnsb_db"), component: "ovn-central", container: "sb"},
	{name: "ovn-controller", kill: onNodes("ovn-controller"), component: "ovs", container: "ovn-controller"},
	{name: "node's ovsdb-server", kill: onNodes("ovsdb-server", "conf.db")},
	{name: "kube-apiserver", kill: (*chaos).killAPIServer},
	// The last one: established connections may end.
	{name: "ovs-vswitchd", kill: onNodes("ovs-vswitchd"), mayBreak: true},
}

// chaos is the cluster under test.
type chaos struct {
	*observer
	namespace string
	probes    []*corev1.Pod // one on each node
	flows     []*flow
	churn     *churn
}

// TestNothingLost kills one process after another while Pods come and go. After each, the cluster agrees with itself, a
// fresh controller finds nothing to do, and established connections have gone on.
func TestNothingLost(t *testing.T) {
	c := newChaos(t)
	ctx := t.Context()
	t.Cleanup(c.churn.done.Wait)
	c.churn.start(ctx)
	for _, v := range victims {
		if !t.Run("kill "+v.name, func(t *testing.T) { c.round(ctx, t, v) }) {
			break // the next result would be about this failure
		}
	}
	c.awaitLives(t, max(0, chaosChurned-int(c.churn.lives.Load())))
	must(t, c.churn.rest())
	t.Logf("%d Pods came and went", c.churn.lives.Load())
}

func newChaos(t *testing.T) *chaos {
	e := use(t)
	sandbox := e.Cluster
	c := &chaos{observer: observe(t, sandbox), namespace: "chaos"}
	e.subnet(t, c.namespace, "10.78.0.0/16,fd00:10:78::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{c.namespace} })
	e.namespace(t, c.namespace, nil)
	for _, node := range sandbox.Nodes() {
		c.probes = append(c.probes, c.runPod(t, "probe-"+node, node))
	}
	neighbour := c.runPod(t, "neighbour", sandbox.Nodes()[0])
	first, second := c.probes[0], c.probes[1]
	for _, f := range []struct {
		name     string
		from, to *corev1.Pod
		family   int
	}{{"1→2 IPv4", first, second, 0}, {"2→1 IPv4", second, first, 0}, {"1→2 IPv6", first, second, 1}, {"1→1 IPv4", first, neighbour, 0}} {
		c.flows = append(c.flows, c.startFlow(t, f.name, f.from, f.to, f.to.Status.PodIPs[f.family].IP))
	}
	c.churn = &churn{observer: c.observer, namespace: c.namespace, workers: chaosWorkers}
	return c
}

// runPod returns a Pod once it runs.
func (c *chaos) runPod(t *testing.T, name, node string) *corev1.Pod {
	t.Helper()
	pod := pausePod(c.namespace, name, node)
	must(t, c.kube.Create(t.Context(), pod))
	var now corev1.Pod
	c.within(t, recoveryLimit, "Pod "+name+" runs", func() string {
		if err := c.seen.Get(t.Context(), client.ObjectKeyFromObject(pod), &now); err != nil {
			return err.Error()
		}
		if !isRunning(&now) {
			return string(now.Status.Phase)
		}
		return ""
	})
	return now.DeepCopy()
}

// round kills, and waits until all is as it should be again. Pods come and go until ctx ends.
func (c *chaos) round(ctx context.Context, t *testing.T, v victim) {
	restarts := c.restarts(t, v)
	for _, f := range c.flows {
		f.reset()
	}
	start := time.Now()
	v.kill(c, t)
	if v.container != "" {
		c.awaitRestarts(t, v, restarts)
	}
	c.awaitComponents(t)
	recovered := time.Since(start)
	c.awaitLives(t, chaosLives)
	churned := time.Since(start)
	must(t, c.churn.rest())
	c.checkFlows(t, v)
	c.agree(t, agreeLimit)
	c.checkAnswers(t)
	c.checkFreshController(t)
	t.Logf("ready after %.1f s, %d Pods came and went within %.1f s, the round took %.1f s",
		recovered.Seconds(), chaosLives, churned.Seconds(), time.Since(start).Seconds())
	c.churn.start(ctx)
}

// awaitLives returns when this many more Pods have come and gone.
func (c *chaos) awaitLives(t *testing.T, n int) {
	t.Helper()
	wanted := c.churn.lives.Load() + int64(n)
	c.within(t, recoveryLimit, "Pods come and go", func() string {
		if lives := c.churn.lives.Load(); lives < wanted {
			return fmt.Sprintf("%d more are wanted; %s", wanted-lives, c.unready(t))
		}
		return ""
	})
}

// checkFlows fails when a connection ended, and logs how long it was silent.
func (c *chaos) checkFlows(t *testing.T, v victim) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), recoveryLimit, fmt.Errorf("not after %v", recoveryLimit))
	defer cancel()
	for _, f := range c.flows {
		gap, err := f.arrive(ctx)
		switch {
		case err == nil:
			t.Logf("longest gap %s: %.1f s", f.name, gap.Seconds())
		case v.mayBreak:
			t.Logf("ended: %v", err)
		default:
			t.Error(err)
		}
	}
}

func (c *chaos) checkAnswers(t *testing.T) {
	t.Helper()
	for _, probe := range c.probes {
		for _, silent := range c.answers(t.Context(), probe, c.pods(t, "")) {
			t.Error(silent)
		}
	}
}

// components are Heddle's Pods of a kind, or all of them.
func (c *chaos) components(t *testing.T, kind string) []corev1.Pod {
	t.Helper()
	return slices.DeleteFunc(slices.Clone(c.pods(t, "kube-system")), func(p corev1.Pod) bool {
		return p.Labels["app.kubernetes.io/name"] != "heddle" || kind != "" && p.Labels["app.kubernetes.io/component"] != kind
	})
}

// restarts counts the restarts of the victim's containers.
func (c *chaos) restarts(t *testing.T, v victim) (n int32) {
	t.Helper()
	for _, pod := range c.components(t, v.component) {
		for _, s := range pod.Status.ContainerStatuses {
			if s.Name == v.container {
				n += s.RestartCount
			}
		}
	}
	return n
}

func (c *chaos) awaitRestarts(t *testing.T, v victim, before int32) {
	t.Helper()
	c.within(t, recoveryLimit, v.container+" starts again", func() string {
		if n := c.restarts(t, v); n <= before {
			return fmt.Sprintf("%d restarts, as before", n)
		}
		return ""
	})
}

// awaitComponents returns when all of Heddle is ready.
func (c *chaos) awaitComponents(t *testing.T) {
	t.Helper()
	c.within(t, recoveryLimit, "Heddle is ready", func() string { return c.unready(t) })
}

func (c *chaos) unready(t *testing.T) string {
	var names []string
	for _, pod := range c.components(t, "") {
		for _, s := range pod.Status.ContainerStatuses {
			if !s.Ready {
				names = append(names, pod.Name+"/"+s.Name)
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "not ready: " + strings.Join(names, ", ")
}

func onNodes(program string, having ...string) func(*chaos, *testing.T) {
	return func(c *chaos, t *testing.T) {
		for _, node := range c.sandbox.Nodes() {
			must(t, c.sandbox.Kill(node, program, having...))
		}
	}
}

func onCentral(program string, having ...string) func(*chaos, *testing.T) {
	return func(c *chaos, t *testing.T) { must(t, c.sandbox.Kill(c.central(t), program, having...)) }
}

// central is the node of OVN's databases.
func (c *chaos) central(t *testing.T) string {
	t.Helper()
	pods := c.components(t, "ovn-central")
	if len(pods) != 1 {
		t.Fatalf("%d Pods of ovn-central", len(pods))
	}
	return pods[0].Spec.NodeName
}

func (c *chaos) killLeader(t *testing.T) {
	must(t, c.sandbox.Kill(c.leader(t).Spec.NodeName, "heddle-controller"))
}

func (c *chaos) killAPIServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), recoveryLimit)
	defer cancel()
	must(t, c.sandbox.RestartAPIServer(ctx))
}
