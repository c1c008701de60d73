package daemon

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestServices follows Services from the API server to the node's maps and health checks, and away again.
func TestServices(t *testing.T) {
	w := newWorld(t)
	w.conflist(t) // the node is ready
	w.cluster.create(`
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: LoadBalancer, clusterIP: 10.96.0.10, externalTrafficPolicy: Local, healthCheckNodePort: 32000, ports: [{port: 80, nodePort: 30080}]}
`)
	w.untilTable(t, "192.0.2.11 . tcp . 30080", true)
	if code, _ := get(t, "http://127.0.0.1:32000/"); code != http.StatusServiceUnavailable {
		t.Errorf("without an endpoint the health check is answered with %d", code)
	}
	w.cluster.create(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: "", port: 8080}]
endpoints: [{addresses: [10.16.0.5], nodeName: n1}, {addresses: [10.16.0.6], nodeName: n2}]
`)
	w.untilTable(t, "192.0.2.11 . tcp . 30080 . 0 : 10.16.0.5 . 8080", true)
	if code, body := get(t, "http://127.0.0.1:32000/"); code != http.StatusOK || !strings.Contains(body, `"localEndpoints":1`) {
		t.Errorf("with an endpoint the health check is answered with %d %s", code, body)
	}
	// A Subnet that is not in force is outside the overlay: the node picks among all endpoints by itself.
	w.untilTable(t, "10.16.0.6 . 8080", true)
	inForce := `{"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Test", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}`
	if _, err := w.cluster.of("Subnet", "").Patch(w.cluster.ctx(), "sw", types.MergePatchType, []byte(inForce), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	w.untilTable(t, "10.16.0.6 . 8080", false)
	if err := w.cluster.of("Service", "default").Delete(w.cluster.ctx(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.untilTable(t, "30080", false)
}

// untilTable looks at the table whenever nftables change.
func (w *world) untilTable(t *testing.T, text string, there bool) {
	t.Helper()
	s, err := nl.Subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.SetReceiveTimeout(&unix.Timeval{Sec: 10}); err != nil {
		t.Fatal(err)
	}
	for {
		table := w.MustExec("", "nft", "list", "table", "inet", "heddle")
		if strings.Contains(table, text) == there {
			return
		}
		if _, _, err := s.Receive(); err != nil {
			t.Fatal(fmt.Errorf("%q is there: want %v: %w; %s", text, there, err, table))
		}
	}
}
