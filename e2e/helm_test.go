package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/e2e/sandbox/build"
	"github.com/heddle-net/heddle/e2e/sandbox/cluster"
	"github.com/heddle-net/heddle/e2e/sandbox/progress"
)

var components = []string{"ovs", "ovn-central", "daemon", "controller"}

// TestHelmUpgrade: the same values restart nothing, values of the daemon and the controller restart these alone, and Pods that run
// answer all the while.
func TestHelmUpgrade(t *testing.T) {
	e := use(t)
	helm := e.helm(t)
	ns := e.namespace(t, "upgrade", nil)
	e.subnet(t, "upgrade", "10.115.0.0/24,fd00:10:115::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	a, b := pod(ns, "a", e.Nodes()[0]), pod(ns, "b", e.Nodes()[1])
	e.start(t, a, b)
	before := map[string]map[string]int{}
	for _, name := range components {
		before[name] = e.component(t, name)
	}
	e.upgrade(t, helm, "--reset-then-reuse-values")
	for _, name := range components {
		if now := e.component(t, name); !maps.Equal(now, before[name]) {
			t.Errorf("%s was %v and is %v, with the same values", name, before[name], now)
		}
	}
	ping := e.keepPinging(t, a, b)
	e.upgrade(t, helm, "--reset-then-reuse-values", "--set=daemon.logLevel=1", "--set=controller.logLevel=1")
	for _, name := range components {
		now, keeps := e.component(t, name), name == "ovs" || name == "ovn-central"
		if maps.Equal(now, before[name]) != keeps {
			t.Errorf("%s was %v and is %v, want it to stay: %t", name, before[name], now, keeps)
		}
	}
	if said := ping(); !strings.Contains(said, " 0% packet loss") {
		t.Errorf("during the upgrade, from Pod a to Pod b:\n%s", said)
	}
	e.start(t, pod(ns, "later", e.Nodes()[0]))
	e.upgrade(t, helm, "--reset-then-reuse-values", "--set=daemon.logLevel=0", "--set=controller.logLevel=0")
}

func (e *env) helm(t *testing.T) string {
	t.Helper()
	helm, err := build.Helm(t.Context(), e.Repository, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return helm
}

// upgrade runs helm and waits until everything that has changed is replaced.
func (e *env) upgrade(t *testing.T, helm string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := e.InstallHeddle(ctx, helm, args...); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"deployment/heddle-controller", "deployment/heddle-ovn-central", "daemonset/heddle-daemon"} {
		if _, err := e.Kubectl(ctx, "", "-n", "kube-system", "rollout", "status", what); err != nil {
			t.Fatal(err)
		}
	}
}

// keepPinging pings from a Pod to another until the returned function is called, which tells the result.
func (e *env) keepPinging(t *testing.T, from, to *corev1.Pod) func() string {
	t.Helper()
	const pid = "/tmp/ping.pid"
	done := make(chan string, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	go func() {
		said, _ := e.Kubectl(ctx, "", "-n", from.Namespace, "exec", from.Name, "--", "sh", "-c",
			fmt.Sprintf("echo $$ >%s; exec ping -n -q -i 0.2 -W 5 %s", pid, to.Status.PodIP))
		done <- said
	}()
	return func() string {
		e.exec(t, from, "sh", "-c", "kill -INT $(cat "+pid+")")
		return <-done
	}
}

// TestHelmUninstall takes Heddle off a cluster of its own, as docs/install.md says: the nodes are as they were before.
func TestHelmUninstall(t *testing.T) {
	use(t)
	const name = "e2e-uninstall"
	e, err := makeCluster(name, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, cluster.Down(name, progress.New(os.Stdout))) }) // it takes its share of the machine
	node := e.Nodes()[0]
	before := e.traces(t, node)
	e, err = makeCluster(name, 1, true, "--set=controller.replicas=1")
	if err != nil {
		t.Fatal(err)
	}
	p := pod("default", "one", node)
	e.start(t, p)
	if installed := e.traces(t, node); slices.Equal(installed, before) {
		t.Error("the node with Heddle has no trace of it: this test sees nothing")
	}
	e.stop(t, p)
	// The Pods that the sandbox has by itself.
	e.kubectl(t, "-n", "kube-system", "delete", "deployment/coredns", "--cascade=foreground")

	helm := e.helm(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := e.InstallHeddle(ctx, helm, "--reset-then-reuse-values", "--set=teardown=true"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Kubectl(ctx, "", "-n", "kube-system", "rollout", "status", "daemonset/heddle-daemon"); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, helm, "uninstall", "heddle", "--namespace=kube-system", "--wait", "--timeout=3m")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+e.Kubeconfig())
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if _, err := e.Kubectl(ctx, "", "-n", "kube-system", "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=heddle", "--timeout=2m"); err != nil {
		t.Fatal(err)
	}
	// As docs/install.md says; /var/lib/heddle itself is a mount in a sandbox.
	said, err := e.Run(ctx, node, "sh", "-c", "rmdir --ignore-fail-on-non-empty /run/openvswitch /run/heddle /var/lib/heddle/ovn; ls -d /run/openvswitch /run/heddle /var/lib/heddle/ovn 2>/dev/null || true")
	if err != nil || said != "" {
		t.Errorf("folders that stay: %s, %v", said, err)
	}
	after := e.traces(t, node)
	for _, line := range after {
		if !slices.Contains(before, line) {
			t.Errorf("left on the node: %s", line)
		}
	}
	for _, line := range before {
		if !slices.Contains(after, line) {
			t.Errorf("missing on the node: %s", line)
		}
	}
}

// traces are all that Heddle could leave on a node, but empty folders. The plugins loopback and portmap are meant to stay.
func (e *env) traces(t *testing.T, node string) []string {
	t.Helper()
	var lines []string
	for _, command := range []string{
		"ip -o link | sed 's/^[0-9]*: //; s/ qlen [0-9]*//'",
		"ip -o address | sed 's/^[0-9]*: //; s/valid_lft.*//'",
		"ip route; ip -6 route; ip rule; ip -6 rule",
		"nft list ruleset",
		"ip netns list",
		"ethtool -k eth0 | grep -v fixed",
		"find /etc/cni /opt/cni /run/openvswitch /run/ovn /run/heddle /etc/openvswitch /etc/ovn /var/lib/openvswitch /var/lib/ovn /var/lib/heddle" +
			" -not -type d 2>/dev/null | grep -v -e loopback -e portmap",
	} {
		said, err := e.Run(t.Context(), node, "sh", "-c", command+" || true")
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(command, "|")
		for line := range strings.Lines(said) {
			lines = append(lines, strings.TrimSpace(name)+": "+strings.TrimSpace(line))
		}
	}
	return lines
}
