package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// TestNodeAddedAndRemoved lets a third node join, with a Pod that everybody reaches, and then takes its power and its Node object
// away: nothing in OVN or Kubernetes remembers it.
func TestNodeAddedAndRemoved(t *testing.T) {
	e := use(t)
	ns := e.namespace(t, "node", nil)
	e.subnet(t, "node", "10.114.0.0/24,fd00:10:114::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	old := pod(ns, "old", e.Nodes()[0])
	e.start(t, old)
	name, taken := e.addNode(t)
	t.Logf("%s Ready after %v", name, taken)
	var node corev1.Node
	if err := e.client.Get(t.Context(), client.ObjectKey{Name: name}, &node); err != nil {
		t.Fatal(err)
	}
	chassis, join := node.Annotations[v1.AnnotationChassis], node.Annotations[v1.AnnotationIPAddress]
	if n := e.policiesTo(t, join); n != 6 {
		t.Errorf("%d router policies to %s, want one for the gateway, the node and its DNS in each family", n, join)
	}
	fresh := pod(ns, "fresh", name)
	e.start(t, fresh)
	for _, want := range []string{chassis, name} {
		if shown := e.sbctl(t, "show"); want == "" || !strings.Contains(shown, want) {
			t.Errorf("want chassis %q of %s in SB, which has\n%s", chassis, name, shown)
		}
	}
	ends := []end{podEnd(old), podEnd(fresh), e.nodeEnd(t, ns, e.Nodes()[1], 18081)}
	e.reach(t, ends, false)
	e.reach(t, ends, true)

	removed := time.Now()
	if err := e.RemoveNode(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	e.awaitGone(t, &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: v1.NodePortPrefix + name}})
	t.Logf("address of the node released after %v", time.Since(removed))
	e.nbctl(t, "--wait=sb", "sync")
	for what, shown := range map[string]string{
		"NB": e.nbctl(t, "show"), "SB": e.sbctl(t, "show"), "Chassis": e.sbctl(t, "--bare", "--columns=name,hostname", "list", "Chassis"),
		"Chassis_Private": e.sbctl(t, "--bare", "--columns=name", "list", "Chassis_Private"),
	} {
		for _, part := range []string{v1.NodePortPrefix + name, chassis} {
			if strings.Contains(shown, part) {
				t.Errorf("%s is still in %s:\n%s", part, what, shown)
			}
		}
	}
	if n := e.policiesTo(t, join); n != 0 {
		t.Errorf("%d router policies to %s are left over", n, join)
	}
	// Nobody is there to say that the Pod has ended; the garbage collector waits longer than a test wants to.
	if err := e.client.Delete(t.Context(), fresh, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
		t.Error(err)
	}
	e.awaitGone(t, &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: ipName(fresh)}})
	ends[1] = ends[2]
	e.reach(t, ends[:2], false)
}

// addNode returns a new node's name, and the time until it was Ready. It is gone when the test ends.
func (e *env) addNode(t *testing.T) (string, time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	began := time.Now()
	name, err := e.AddNode(ctx)
	t.Cleanup(func() {
		if !slices.Contains(e.Nodes(), name) {
			return
		}
		if err := e.RemoveNode(context.WithoutCancel(t.Context()), name); err != nil {
			t.Error(err)
		}
	})
	if err == nil {
		err = e.WaitReady(ctx, func(string) {})
	}
	if err != nil {
		t.Fatal(err)
	}
	return name, time.Since(began)
}

// policiesTo counts the router policies that lead to a node's addresses on the join Subnet.
func (e *env) policiesTo(t *testing.T, join string) int {
	t.Helper()
	n := 0
	for line := range strings.Lines(e.nbctl(t, "lr-policy-list", v1.DefaultVpc)) {
		fields := strings.Fields(line)
		if len(fields) > 0 && slices.Contains(strings.Split(join, ","), fields[len(fields)-1]) {
			n++
		}
	}
	return n
}

// component lists the UIDs of a component's Pods with the restarts of their containers.
func (e *env) component(t *testing.T, name string) map[string]int {
	t.Helper()
	var list corev1.PodList
	err := e.client.List(t.Context(), &list, client.InNamespace("kube-system"), client.MatchingLabels{"app.kubernetes.io/component": name})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, p := range list.Items {
		for _, s := range p.Status.ContainerStatuses {
			found[fmt.Sprintf("%s %s %s", p.Name, p.UID, s.Name)] = int(s.RestartCount)
		}
	}
	if len(found) == 0 {
		t.Fatalf("no Pods of the component %s", name)
	}
	return found
}
