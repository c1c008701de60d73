package daemon

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestBalancers follows the address of a Service from the API server to the node's uplink, its guard and its Event, over a restart, and
// away again.
func TestBalancers(t *testing.T) {
	w := newWorld(t)
	w.conflist(t) // the node is ready
	inForce := `{"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Test", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}`
	w.cluster.create("{apiVersion: kubeovn.io/v1, kind: Subnet, metadata: {name: lan}, spec: {cidrBlock: 192.0.2.0/24, provider: l2.heddle.dev}}")
	patch := func(kind, namespace, name, text, subresource string) {
		t.Helper()
		if _, err := w.cluster.of(kind, namespace).Patch(w.cluster.ctx(), name, types.MergePatchType, []byte(text), metav1.PatchOptions{}, subresource); err != nil {
			t.Fatal(err)
		}
	}
	patch("Subnet", "", "lan", inForce, "status")
	w.cluster.create(`
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: LoadBalancer, loadBalancerClass: heddle.dev/l2, clusterIP: 10.96.0.10, ports: [{port: 80, nodePort: 30080}]}
`)
	patch("Service", "default", "web", `{"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.200", "ipMode": "VIP"}]}}}`, "status")
	w.untilAddress(t, "192.0.2.200", true)
	w.untilTable(t, "elements = { 192.0.2.200 }", true)
	events := w.cluster.of("Event", "default")
	list, err := events.List(w.cluster.ctx(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || !strings.Contains(fmt.Sprint(list.Items), `nodeAssigned`) {
		t.Errorf("Events: %v, %v", list, err)
	}
	if _, body := get(t, "http://127.0.0.1:10665/metrics"); !strings.Contains(body, `heddle_l2_addresses{family="IPv4"} 1`) {
		t.Errorf("metrics:\n%s", body)
	}
	w.stop()
	w.start()
	w.untilAddress(t, "192.0.2.200", true)
	for _, record := range []string{w.VSCtl("--bare", "--columns=external_ids", "list", "Bridge"), w.externalID("ovn-encap-ip")} {
		if strings.Contains(record, "192.0.2.200") {
			t.Errorf("taken for an address of the node: %s", record)
		}
	}
	if err := w.cluster.of("Service", "default").Delete(w.cluster.ctx(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.untilAddress(t, "192.0.2.200", false)
}

// untilAddress looks at the node's addresses whenever one changes.
func (w *world) untilAddress(t *testing.T, addr string, there bool) {
	t.Helper()
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_IFADDR)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.SetReceiveTimeout(&unix.Timeval{Sec: 30}); err != nil {
		t.Fatal(err)
	}
	for {
		have := w.MustExec("", "ip", "-o", "addr", "show", "to", addr)
		if (have != "") == there {
			return
		}
		if _, _, err := s.Receive(); err != nil {
			t.Fatal(fmt.Errorf("%s is there: want %v: %w; %s", addr, there, err, have))
		}
	}
}
