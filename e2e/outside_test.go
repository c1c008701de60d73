package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/e2e/sandbox/build"
)

const outsidePort = 8090

// TestOutside: Pods on each node reach a host outside of the cluster. With natOutgoing it sees the Pod's own node, without the Pod
// itself, as long as the router knows a way back; and then it reaches Pods too. Each Pod leaves by its own node.
func TestOutside(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "outside", nil)
	e.subnet(t, "outside-nat", "10.109.0.0/24,fd00:10:109::/112", func(s *v1.SubnetSpec) { s.NatOutgoing = true })
	e.subnet(t, "outside-routed", "10.109.1.0/24,fd00:10:109:1::/112", nil)
	host := e.outsideHost(t)
	nodes := e.Nodes()[:2]
	e.routeToPods(t, nodes[0], "10.109.1.0/24", "fd00:10:109:1::/112")
	var pods []*corev1.Pod
	for _, subnet := range []string{"outside-nat", "outside-routed"} {
		for _, node := range nodes {
			pods = append(pods, inSubnet(pod(ns, strings.TrimPrefix(subnet, "outside-")+"-"+node, node), subnet))
		}
	}
	e.start(t, pods...)
	counters := e.countOnRouter(t, nodes)
	for _, p := range pods {
		seen := addresses(p)
		if strings.HasPrefix(p.Name, "nat") {
			seen = e.addressesOf(t, p.Spec.NodeName)
		}
		for i, to := range host {
			e.asksOutside(t, p, to, seen[i])
		}
	}
	counters.assertOwnNode(t, pods[2:])
	for _, p := range pods[2:] {
		for i, to := range addresses(p) {
			target := net.JoinHostPort(to.String(), strconv.Itoa(podPort))
			seen := e.run(t, "outside-1", "curl", "-g", "-s", "-S", "-m", "10", "http://"+target+"/clientip")
			if from, err := netip.ParseAddrPort(seen); err != nil || from.Addr() != host[i] {
				t.Errorf("Pod %s at %s sees %q, want %s", p.Name, target, seen, host[i])
			}
		}
	}
}

func (e *env) addressesOf(t *testing.T, machine string) []netip.Addr {
	t.Helper()
	list, err := e.Addresses(machine)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// outsideHost runs agnhost's servers on an outside host, and returns its addresses.
func (e *env) outsideHost(t *testing.T) []netip.Addr {
	t.Helper()
	programs, err := build.KubernetesDir()
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Machine("outside-1")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := m.Command(ctx, filepath.Join(programs, "agnhost"), "netexec", fmt.Sprint("--http-port=", outsidePort), fmt.Sprint("--udp-port=", outsidePort))
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // killed
	})
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Started UDP server") {
			return e.addressesOf(t, "outside-1")
		}
	}
	t.Fatal("agnhost on the outside host has ended")
	return nil
}

// routeToPods tells the router a way to a Subnet: by one node, whatever node the Pods are on.
func (e *env) routeToPods(t *testing.T, node string, cidrs ...string) {
	t.Helper()
	by := e.addressesOf(t, node)
	for i, cidr := range cidrs {
		e.run(t, "router", "ip", "route", "add", cidr, "via", by[i].String())
		t.Cleanup(func() {
			if said, err := e.Run(context.WithoutCancel(t.Context()), "router", "ip", "route", "del", cidr); err != nil {
				t.Error(err, said)
			}
		})
	}
}

// asksOutside asks the outside host which source it sees.
func (e *env) asksOutside(t *testing.T, p *corev1.Pod, to, source netip.Addr) {
	t.Helper()
	target := net.JoinHostPort(to.String(), strconv.Itoa(outsidePort))
	seen := e.exec(t, p, "curl", "-g", "-s", "-S", "-m", "10", "http://"+target+"/clientip")
	if from, err := netip.ParseAddrPort(seen); err != nil || from.Addr() != source {
		t.Errorf("%s sees %q when Pod %s asks by TCP, want %s", to, seen, p.Name, source)
	}
	seen = e.exec(t, p, "curl", "-g", "-s", "-S", "-m", "10",
		fmt.Sprintf("http://127.0.0.1:%d/dial?protocol=udp&request=clientip&tries=1&host=%s&port=%d", podPort, to, outsidePort))
	if !strings.Contains(seen, source.String()) {
		t.Errorf("%s sees %q when Pod %s asks by UDP, want %s", to, strings.TrimSpace(seen), p.Name, source)
	}
	e.exec(t, p, "ping", "-n", "-q", "-c", "1", "-W", "10", to.String())
}

// counters count packets on the router by source and by the node that sent them.
type counters struct {
	e     *env
	nodes []string
}

const counterTable = "e2e_outside"

// countOnRouter counts what goes to the outside. The source MAC address tells the node, also when the source is the Pod's.
func (e *env) countOnRouter(t *testing.T, nodes []string) counters {
	t.Helper()
	rules := fmt.Sprintf("table inet %s {\n set sent { type ether_addr . ipv4_addr; size 1000; flags dynamic; }\n", counterTable) +
		" chain forward { type filter hook forward priority 0; ip daddr 198.51.100.0/24 add @sent { ether saddr . ip saddr }; }\n}\n"
	e.run(t, "router", "sh", "-c", "nft -f - <<'END'\n"+rules+"END\n")
	t.Cleanup(func() {
		if said, err := e.Run(context.WithoutCancel(t.Context()), "router", "nft", "delete", "table", "inet", counterTable); err != nil {
			t.Error(err, said)
		}
	})
	return counters{e, nodes}
}

func (c counters) assertOwnNode(t *testing.T, pods []*corev1.Pod) {
	t.Helper()
	sent := c.e.run(t, "router", "nft", "list", "set", "inet", counterTable, "sent")
	for _, p := range pods {
		for _, node := range c.nodes {
			link := c.e.run(t, node, "cat", "/sys/class/net/eth0/address")
			found := strings.Contains(sent, strings.TrimSpace(link)+" . "+p.Status.PodIP+" ") ||
				strings.Contains(sent, strings.TrimSpace(link)+" . "+p.Status.PodIP+",")
			if found != (node == p.Spec.NodeName) {
				t.Errorf("Pod %s on %s leaves by %s: %t, as the router saw:\n%s", p.Name, p.Spec.NodeName, node, found, sent)
			}
		}
	}
}
