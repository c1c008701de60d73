package main

import (
	"strings"
	"testing"

	"github.com/heddle-net/heddle/e2e/sandbox/cluster"
)

// hostPods is a Pod in the network of each node, which needs no CNI plugin, with a mount that follows the node's.
const hostPods = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: host, namespace: default}
spec:
  selector: {matchLabels: {app: host}}
  template:
    metadata: {labels: {app: host}}
    spec:
      hostNetwork: true
      terminationGracePeriodSeconds: 1
      tolerations: [{operator: Exists}]
      containers:
        - name: agnhost
          image: registry.k8s.io/e2e-test-images/agnhost:2.63.0
          args: [netexec, --http-port=8090, --udp-port=-1]
          volumeMounts:
            - {name: netns, mountPath: /run/netns, mountPropagation: HostToContainer}
            - {name: data, mountPath: /data}
      volumes:
        - {name: netns, hostPath: {path: /run/netns, type: DirectoryOrCreate}}
        - {name: data, hostPath: {path: /var/lib/heddle-sandbox-test, type: DirectoryOrCreate}}
`

func testPods(t *testing.T, c *cluster.Cluster) {
	kubectl(t, c, hostPods, "apply", "-f", "-")
	kubectl(t, c, "", "rollout", "status", "daemonset/host", "--timeout=120s")
	for _, pod := range strings.Fields(kubectl(t, c, "", "get", "pods", "-l", "app=host", "-o", "name")) {
		node := strings.TrimSpace(kubectl(t, c, "", "get", pod, "-o", "jsonpath={.spec.nodeName}"))
		if host := strings.TrimSpace(kubectl(t, c, "", "exec", pod, "--", "hostname")); host != node {
			t.Errorf("%s is on %s and says %s", pod, node, host)
		}
		if logs := kubectl(t, c, "", "logs", pod); !strings.Contains(logs, "Started HTTP server on port 8090") {
			t.Errorf("%s: logs are %q", pod, logs)
		}
		kubectl(t, c, "", "exec", pod, "--", "sh", "-c", "for tool in curl dig nc iperf iperf3 ping ip; do command -v $tool || exit 1; done")
		// A namespace that is mounted on the node later is seen in the Pod, and a file written there stays on the node.
		run(t, c, node, "ip", "netns", "add", "late")
		if seen := kubectl(t, c, "", "exec", pod, "--", "stat", "-f", "-c", "%T", "/run/netns/late"); !strings.Contains(seen, "nsfs") {
			t.Errorf("%s sees %q at /run/netns/late, want nsfs", pod, seen)
		}
		kubectl(t, c, "", "exec", pod, "--", "touch", "/data/"+node)
		if files := run(t, c, node, "ls", "/var/lib/heddle-sandbox-test"); strings.TrimSpace(files) != node {
			t.Errorf("%s has the files %q, want its own only", node, files)
		}
	}
}

func testIsolation(t *testing.T, c *cluster.Cluster) {
	addresses, err := c.Addresses("outside-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		run(t, c, "heddle-1", "ping", "-c", "1", "-W", "5", a.String())
	}
	// The router has no default route, so what is not the sandbox's goes nowhere. The address is of RFC 5737 and on no machine.
	if said, err := c.Run(t.Context(), "router", "ip", "route", "get", "203.0.113.1"); err == nil {
		t.Errorf("the router knows a way out: %s", said)
	}
	if links := run(t, c, "router", "ip", "-o", "link", "show", "type", "veth"); strings.Count(links, "\n") != 4 {
		t.Errorf("want a port for each of control, heddle-1, heddle-2 and outside-1, got\n%s", links)
	}
}

func testKill(t *testing.T, c *cluster.Cluster) {
	if err := c.Kill("heddle-1", "kubelet"); err != nil {
		t.Error(err)
	}
	if err := c.Kill("heddle-1", "agnhost"); err != nil {
		t.Errorf("a program in a container: %v", err)
	}
	if err := c.Kill("heddle-1", "no-such-program"); err == nil {
		t.Error("killed a program that does not run")
	}
	if err := c.Kill("control", "etcd"); err != nil {
		t.Error(err)
	}
	if err := c.RestartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	kubectl(t, c, "", "wait", "--for=jsonpath={.status.numberReady}=2", "daemonset/host", "--timeout=120s")
}

func testAddAndRemoveNode(t *testing.T, c *cluster.Cluster) {
	name, err := c.AddNode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if name != "heddle-3" {
		t.Errorf("the third node is %s", name)
	}
	kubectl(t, c, "", "get", "node", name)
	if err := c.RemoveNode(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if said, err := c.Kubectl(t.Context(), "", "get", "node", name); err == nil {
		t.Errorf("the Node is still there: %s", said)
	}
	if nodes := strings.Join(c.Nodes(), " "); nodes != "heddle-1 heddle-2" {
		t.Errorf("nodes are %s", nodes)
	}
}

func kubectl(t *testing.T, c *cluster.Cluster, stdin string, args ...string) string {
	t.Helper()
	said, err := c.Kubectl(t.Context(), stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

func run(t *testing.T, c *cluster.Cluster, machine string, args ...string) string {
	t.Helper()
	said, err := c.Run(t.Context(), machine, args...)
	if err != nil {
		t.Fatal(err)
	}
	return said
}
