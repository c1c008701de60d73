package e2e

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// TestServiceDNS asks the cluster's DNS server by its Service, from Pods of two families and of one, and from nodes.
func TestServiceDNS(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "service-dns", nil)
	e.subnet(t, "service-dns", "10.119.0.0/24,fd00:10:119::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	e.subnet(t, "service-dns-v6", "fd00:10:119:1::/112", nil)
	nodes := e.Nodes()[:2]
	pods := []*corev1.Pod{serving(pod(ns, "here", nodes[0]), "all"), serving(pod(ns, "there", nodes[1]), "all")}
	for _, p := range pods {
		p.Spec.Hostname, p.Spec.Subdomain = p.Name, "all"
	}
	v6 := inSubnet(pod(ns, "six", nodes[1]), "service-dns-v6")
	e.start(t, append(slices.Clone(pods), v6)...)
	e.service(t, ns, "all", func(s *corev1.ServiceSpec) { s.ClusterIP = corev1.ClusterIPNone })
	var kubernetes corev1.Service
	must(t, e.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "kubernetes"}, &kubernetes))
	want := map[string][]netip.Addr{
		"kubernetes.default": vipsOf(&kubernetes),
		"all":                slices.Concat(addresses(pods[0]), addresses(pods[1])),
		"there.all":          addresses(pods[1]),
	}
	for _, a := range []asker{e.podAsker(t, pods[0]), e.podAsker(t, pods[1]), e.podAsker(t, v6), e.nodeAsker(t, nodes[0]), e.nodeAsker(t, nodes[1])} {
		for _, server := range e.dnsServers(t) {
			if !ofFamily(a.sources, server.Is6()).IsValid() {
				continue
			}
			for name, addresses := range want {
				a.resolves(t, server, fullName(name, ns), addresses)
			}
		}
	}
	for _, p := range append(slices.Clone(pods), v6) {
		for _, name := range slices.Sorted(maps.Keys(want)) {
			e.exec(t, p, "getent", "ahosts", name) // by resolv.conf
		}
		began := time.Now()
		if said := e.exec(t, p, "sh", "-c", "getent ahosts name.example || echo none"); said != "none\n" || time.Since(began) > 5*time.Second {
			t.Errorf("Pod %s asks for a name from outside and hears %q after %v", p.Name, said, time.Since(began))
		}
	}
}

func fullName(name, namespace string) string {
	if !strings.Contains(name, ".default") {
		name += "." + namespace
	}
	return name + ".svc.cluster.local."
}

func (e *env) dnsServers(t *testing.T) []netip.Addr {
	t.Helper()
	var s corev1.Service
	must(t, e.client.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "kube-dns"}, &s))
	return vipsOf(&s)
}

// resolves asks by UDP, or by TCP for a long answer, until the server has the addresses: it hears of them when the nodes do.
func (a asker) resolves(t *testing.T, server netip.Addr, name string, want []netip.Addr) {
	t.Helper()
	slices.SortFunc(want, netip.Addr.Compare)
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return a.dial(ctx, network, target(server, 53))
	}}
	said := ""
	for began := time.Now(); time.Since(began) < timeLimit; {
		got, err := resolver.LookupNetIP(t.Context(), "ip", name)
		for i := range got {
			got[i] = got[i].Unmap()
		}
		slices.SortFunc(got, netip.Addr.Compare)
		if err == nil && slices.Equal(got, want) {
			return
		}
		said = fmt.Sprintf("%v, error %v", got, err)
	}
	t.Errorf("%s asks %s for %s and hears %s, want %v", a.name, server, name, said, want)
}
