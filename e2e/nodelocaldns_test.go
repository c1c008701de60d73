package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/containernetworking/plugins/pkg/ns"
	corev1 "k8s.io/api/core/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/e2e/sandbox/cluster"
)

const dnsPort = 53

// TestNodeLocalDNS has a server at the same address on each node, as NodeLocal DNSCache does it: on a link of its own, and without
// connection tracking. Pods get the answers of their own node.
func TestNodeLocalDNS(t *testing.T) {
	t.Parallel()
	e := use(t)
	namespace := e.namespace(t, "nodelocaldns", nil)
	e.subnet(t, "nodelocaldns", "10.127.0.0/24,fd00:10:127::/112", func(s *v1.SubnetSpec) {
		s.Namespaces, s.NatOutgoing = []string{namespace}, true
	})
	nodes := e.Nodes()[:2]
	pods := []*corev1.Pod{serving(pod(namespace, "one", nodes[0]), "dns"), pod(namespace, "two", nodes[1])}
	e.start(t, pods...)
	// A ClusterIP that the server on the node has as well remains a Service for Pods.
	dns := e.service(t, namespace, "dns", func(s *corev1.ServiceSpec) { s.Ports[0].Port = dnsPort })
	e.balanced(t, dns, "tcp", dnsPort, endpointsOf(podPort, pods[0])...)
	local := []netip.Addr{netip.MustParseAddr(cluster.NodeLocalDNSv4), netip.MustParseAddr(cluster.NodeLocalDNSv6)}
	for _, node := range nodes {
		e.localDNS(t, node, append(vipsOf(dns), local...)...)
	}
	for _, p := range pods {
		a := e.podAsker(t, p)
		for _, at := range local {
			a.isAnswered(t, "tcp", at, p.Spec.NodeName, ofFamily(a.sources, at.Is6()))
			a.isAnswered(t, "udp", at, p.Spec.NodeName, ofFamily(a.sources, at.Is6()))
		}
		for _, vip := range vipsOf(dns) {
			if h, err := a.ask(t.Context(), "tcp", target(vip, dnsPort)); err != nil || h.who != "one" {
				t.Errorf("%s asks the Service %s: %s, %v; want the Pod one", a.name, vip, h, err)
			}
			e.nodeAsker(t, p.Spec.NodeName).isAnswered(t, "tcp", vip, p.Spec.NodeName, vip)
		}
	}
}

// isAnswered wants one answer of that server, which sees that client.
func (a asker) isAnswered(t *testing.T, protocol string, at netip.Addr, who string, source netip.Addr) {
	t.Helper()
	if h, err := a.ask(t.Context(), protocol, target(at, dnsPort)); err != nil || h != (heard{who, source}) {
		t.Errorf("%s asks %s %s: %s, %v; want %s seeing %s", a.name, protocol, at, h, err, who, source)
	}
}

const notrackTable = "e2e_nodelocaldns"

// localDNS gives a node the addresses, on a link of their own, and a server that says the node's name.
func (e *env) localDNS(t *testing.T, node string, addresses ...netip.Addr) {
	t.Helper()
	daemon := e.daemonOn(t, node) // its nft, like that of the cluster's own programs, is not the machine's
	inDaemon := func(script string) []string {
		return []string{"-n", "kube-system", "exec", daemon, "-c", "daemon", "--", "sh", "-c", script}
	}
	e.run(t, node, "ip", "link", "add", "nodelocaldns", "type", "bridge") // a dummy where the kernel has them
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if said, err := e.Run(ctx, node, "ip", "link", "del", "nodelocaldns"); err != nil {
			t.Error(err, said)
		}
		if said, err := e.Kubectl(ctx, "", inDaemon("nft delete table inet "+notrackTable)...); err != nil {
			t.Error(err, said)
		}
	})
	e.run(t, node, "ip", "link", "set", "nodelocaldns", "up")
	e.kubectl(t, inDaemon(fmt.Sprintf(`nft -f - <<'END'
table inet %[1]s {
  chain in { type filter hook prerouting priority raw; ip daddr %[2]s th dport %[4]d notrack; ip6 daddr %[3]s th dport %[4]d notrack; }
  chain out { type filter hook output priority raw; ip saddr %[2]s th sport %[4]d notrack; ip6 saddr %[3]s th sport %[4]d notrack; }
}
END`, notrackTable, cluster.NodeLocalDNSv4, cluster.NodeLocalDNSv6, dnsPort))...)
	for _, at := range addresses {
		e.run(t, node, "ip", "addr", "add", netip.PrefixFrom(at, at.BitLen()).String(), "dev", "nodelocaldns", "nodad")
		e.serveIn(t, node, netip.AddrPortFrom(at, dnsPort))
		e.serveDatagrams(t, node, netip.AddrPortFrom(at, dnsPort))
	}
}

// serveDatagrams answers as agnhost does, by the name of the machine.
func (e *env) serveDatagrams(t *testing.T, machine string, at netip.AddrPort) {
	t.Helper()
	m, err := e.Machine(machine)
	must(t, err)
	var conn net.PacketConn
	must(t, ns.WithNetNSPath(m.NetNS(), func(ns.NetNS) (err error) {
		conn, err = net.ListenPacket("udp", at.String())
		return err
	}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 100)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			answer := machine
			if string(buf[:n]) == "clientip" {
				answer = from.String()
			}
			_, _ = conn.WriteTo([]byte(answer), from)
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
}
