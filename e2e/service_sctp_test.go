package e2e

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/containernetworking/plugins/pkg/ns"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/heddle-net/heddle/ovs/ovstest/sctp"
)

// TestServiceSCTP asks a Service of two families by SCTP, from Pods and nodes. Both ends are sockets of the test in the Pods'
// namespaces: the kernel need not have SCTP.
func TestServiceSCTP(t *testing.T) {
	t.Parallel()
	e := use(t)
	namespace := e.namespace(t, "service-sctp", nil)
	nodes := e.Nodes()[:2]
	const port = 8082
	servers := []*corev1.Pod{serving(pod(namespace, "server-1", nodes[0]), "sctp"), serving(pod(namespace, "server-2", nodes[1]), "sctp")}
	clients := []*corev1.Pod{pod(namespace, "client-1", nodes[0]), pod(namespace, "client-2", nodes[1])}
	s := e.service(t, namespace, "sctp", func(s *corev1.ServiceSpec) {
		s.Ports = []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt(port), Protocol: corev1.ProtocolSCTP}}
	})
	e.start(t, append(slices.Clone(servers), clients...)...)
	for _, p := range servers {
		for _, address := range addresses(p) {
			e.podAsker(t, p).serveSCTP(t, netip.AddrPortFrom(address, port))
		}
	}
	e.balanced(t, s, "sctp", 80, endpointsOf(port, servers...)...)
	for _, a := range []asker{e.podAsker(t, clients[0]), e.podAsker(t, clients[1]), e.nodeAsker(t, nodes[0]), e.nodeAsker(t, nodes[1])} {
		for _, vip := range vipsOf(s) {
			want := make(map[string]bool)
			for _, at := range endpointsOf(port, servers...) {
				if at.Addr().Is4() == vip.Is4() {
					want[at.String()+" "+ofFamily(a.sources, !vip.Is4()).String()] = true
				}
			}
			if heard := a.askSCTP(t, netip.AddrPortFrom(vip, 80)); !maps.Equal(heard, want) {
				t.Errorf("%s asks %s %d times and hears %v, want %v", a.name, vip, tries, heard, want)
			}
		}
	}
}

func (a asker) serveSCTP(t *testing.T, at netip.AddrPort) {
	t.Helper()
	var server net.PacketConn
	must(t, ns.WithNetNSPath(a.netns, func(ns.NetNS) (err error) {
		server, err = sctp.Listen(at)
		return err
	}))
	t.Cleanup(func() { must(t, server.Close()) })
}

// askSCTP opens many associations and returns what the INIT ACKs say: at which address the server was asked, and whom it saw.
func (a asker) askSCTP(t *testing.T, to netip.AddrPort) map[string]bool {
	t.Helper()
	heard := make(map[string]bool)
	must(t, ns.WithNetNSPath(a.netns, func(ns.NetNS) error {
		for range tries {
			said, err := sctp.Ask(netip.Addr{}, to, connectLimit)
			if err != nil {
				return err
			}
			heard[said] = true
		}
		return nil
	}))
	return heard
}
