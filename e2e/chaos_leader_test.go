package e2e

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// holder is the identity of the controller that leads: its Pod and a random part.
func (c *chaos) holder(t *testing.T) string {
	t.Helper()
	var lease coordinationv1.Lease
	must(t, c.seen.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "heddle-controller"}, &lease))
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// leader is the Pod of the controller that leads.
func (c *chaos) leader(t *testing.T) *corev1.Pod {
	t.Helper()
	name, _, _ := strings.Cut(c.holder(t), "_")
	for _, pod := range c.components(t, "controller") {
		if pod.Name == name && pod.DeletionTimestamp == nil {
			return &pod
		}
	}
	t.Fatalf("no controller leads, or its Pod %q is not known", name)
	return nil
}

// checkFreshController takes the lead from the controller that has it. The next one compares everything anew, and must find
// nothing to do.
func (c *chaos) checkFreshController(t *testing.T) {
	t.Helper()
	before, versions := c.holder(t), c.versions(t)
	must(t, c.kube.Delete(t.Context(), c.leader(t)))
	c.within(t, recoveryLimit, "another controller leads", func() string {
		if now := c.holder(t); now == before || now == "" {
			return "the lease is held by " + now
		}
		return ""
	})
	pod := c.leader(t)
	c.awaitSynced(t, pod)
	path := "/api/v1/namespaces/kube-system/pods/" + pod.Name + ":10660/proxy/metrics"
	metrics, err := c.sandbox.Kubectl(t.Context(), "", "get", "--raw", path)
	must(t, err)
	for name, want := range map[string]string{
		"heddle_northbound_synced": "1", "heddle_northbound_operations_total": "0", "heddle_drift_repaired_total": "0", "heddle_held_removals": "0",
	} {
		if !strings.Contains(metrics, "\n"+name+" "+want+"\n") {
			t.Errorf("fresh controller %s: want %s %s, got %v", pod.Name, name, want, grep(metrics, name+" "))
		}
	}
	c.awaitComponents(t)
	for object, version := range c.versions(t) {
		if versions[object] != version {
			t.Errorf("fresh controller %s has written %s", pod.Name, object)
		}
	}
}

// versions are those of the objects that only a controller writes to.
func (c *chaos) versions(t *testing.T) map[string]string {
	t.Helper()
	var subnets v1.SubnetList
	var vpcs v1.VpcList
	var ips v1.IPList
	versions := map[string]string{}
	for _, list := range []client.ObjectList{&subnets, &vpcs, &ips} {
		must(t, c.kube.List(t.Context(), list))
		must(t, meta.EachListItem(list, func(item runtime.Object) error {
			object := item.(client.Object)
			versions[fmt.Sprintf("%T %s", object, object.GetName())] = object.GetResourceVersion()
			return nil
		}))
	}
	return versions
}

func grep(text, start string) (found []string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, start) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// awaitSynced reads the controller's log until it says that the database agrees with Kubernetes.
func (c *chaos) awaitSynced(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	config, err := c.sandbox.Config()
	must(t, err)
	clientset, err := kubernetes.NewForConfig(config)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), recoveryLimit)
	defer cancel()
	log, err := clientset.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	must(t, err)
	defer log.Close()
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "The northbound database agrees with Kubernetes") {
			return
		}
	}
	t.Fatalf("the log of %s ends before the database agrees (%v)", pod.Name, lines.Err())
}
