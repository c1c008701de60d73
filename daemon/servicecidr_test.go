package daemon

import (
	"testing"

	"github.com/vishvananda/netlink"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-net/heddle/e2e/sandbox/controlplane"
)

// TestServiceCIDRs follows them to the node's routes and back.
func TestServiceCIDRs(t *testing.T) {
	w := newWorld(t)
	w.untilRoute(t, "10.96.0.0/16", true) // the API server's own
	w.cluster.create("{apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: {name: more}, spec: {cidrs: [10.98.0.0/24]}}")
	w.untilRoute(t, "10.98.0.0/24", true)
	if err := w.cluster.of("ServiceCIDR", "").Delete(w.cluster.ctx(), "more", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.untilRoute(t, "10.98.0.0/24", false)
	w.untilRoute(t, "10.96.0.0/16", true)
}

// TestWithoutServiceCIDRs has an API server that does not know the kind: the flag counts.
func TestWithoutServiceCIDRs(t *testing.T) {
	w := newWorldOf(t, func(w *world) {
		w.objects()
		w.older = controlplane.OlderForTest(t, w.cluster.ControlPlane, serviceCIDRs)
	})
	w.untilRoute(t, "10.96.0.0/12", true)
	w.conflist(t)
}

// untilRoute looks at ovn0's routes whenever a route changes.
func (w *world) untilRoute(t *testing.T, dst string, there bool) {
	t.Helper()
	updates, done := make(chan netlink.RouteUpdate), make(chan struct{})
	defer close(done)
	if err := netlink.RouteSubscribe(updates, done); err != nil {
		t.Fatal(err)
	}
	ctx := w.cluster.ctx()
	for {
		routes, err := w.Exec("", "ip", "route", "show", dst, "dev", "ovn0")
		if (err == nil && routes != "") == there {
			return
		}
		select {
		case <-updates:
		case <-ctx.Done():
			t.Fatalf("a route to %s: want %v, have %s", dst, there, w.MustExec("", "ip", "route"))
		}
	}
}
