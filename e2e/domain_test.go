package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// TestDomainNames: Pods on two nodes, in each family, reach what a name stands for as soon as they are answered, with their first packet,
// and not before; a Pod that comes later under the name too; and the objects go with the policy.
func TestDomainNames(t *testing.T) {
	t.Parallel()
	e := use(t)
	namespace := e.namespace(t, "domains", nil)
	e.subnet(t, namespace, "10.150.0.0/24,fd00:10:150::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{namespace} })
	nodes := e.Nodes()[:2]
	server := serving(pod(namespace, "first", nodes[0]), "web")
	clients := []*corev1.Pod{pod(namespace, "near", nodes[0]), pod(namespace, "far", nodes[1])}
	for _, p := range clients {
		p.Labels = map[string]string{"client": "yes"}
	}
	e.service(t, namespace, "web", func(s *corev1.ServiceSpec) { s.ClusterIP = corev1.ClusterIPNone })
	e.start(t, server, clients[0], clients[1])
	const name = "*.domains.svc.cluster.local."
	policy := &v1alpha2.ClusterNetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "domains"},
		Spec: v1alpha2.ClusterNetworkPolicySpec{
			Tier: v1alpha2.AdminTier, Priority: 400,
			Subject: v1alpha2.ClusterNetworkPolicySubject{Pods: &v1alpha2.NamespacedPod{
				NamespaceSelector: metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
				PodSelector:       metav1.LabelSelector{MatchLabels: clients[0].Labels},
			}},
			Egress: []v1alpha2.ClusterNetworkPolicyEgressRule{
				{Action: v1alpha2.ClusterNetworkPolicyRuleActionAccept, To: []v1alpha2.ClusterNetworkPolicyEgressPeer{
					{Namespaces: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "kube-system"}}},
				}},
				{Action: v1alpha2.ClusterNetworkPolicyRuleActionAccept, To: []v1alpha2.ClusterNetworkPolicyEgressPeer{{DomainNames: []v1alpha2.DomainName{name}}}},
				{Action: v1alpha2.ClusterNetworkPolicyRuleActionDeny, To: []v1alpha2.ClusterNetworkPolicyEgressPeer{{Networks: []v1alpha2.CIDR{"0.0.0.0/0", "::/0"}}}},
			},
		},
	}
	e.create(t, policy)
	await(t, e, policy, func(p *v1alpha2.ClusterNetworkPolicy) string {
		if !meta.IsStatusConditionTrue(p.Status.Conditions, "Ready") {
			return fmt.Sprintf("the conditions are %+v", p.Status.Conditions)
		}
		return ""
	})
	e.inForce(t)
	for _, p := range clients {
		a := e.podAsker(t, p)
		for _, to := range addresses(server) {
			a.cannotConnect(t, target(to, podPort))
		}
	}
	for _, node := range nodes {
		// What the datapath does with the packets of these attempts outlives the new flows for as long as the revalidators need
		// (docs/decisions/0015-domain-names.md).
		pod := e.kubectl(t, "-n", "kube-system", "get", "pods", "-o", "name", "-l", "app.kubernetes.io/component=ovs", "--field-selector", "spec.nodeName="+node)
		e.kubectl(t, "-n", "kube-system", "exec", strings.TrimSpace(pod), "-c", "ovs-vswitchd", "--", "ovs-appctl", "revalidator/purge")
	}
	for _, p := range clients {
		e.podAsker(t, p).connectsByName(t, e.dnsServers(t)[0], "web.domains.svc.cluster.local.", addresses(server))
	}
	later := serving(pod(namespace, "later", nodes[1]), "web")
	e.start(t, later)
	for _, p := range clients {
		a := e.podAsker(t, p)
		a.resolves(t, e.dnsServers(t)[0], "web.domains.svc.cluster.local.", append(addresses(server), addresses(later)...))
		a.connectsByName(t, e.dnsServers(t)[0], "web.domains.svc.cluster.local.", append(addresses(server), addresses(later)...))
	}
	e.remove(t, policy)
	e.awaitGone(t, &v1.DNSNameResolver{ObjectMeta: metav1.ObjectMeta{Name: state.DomainKey(name)}})
}

// connectsByName asks for a name and connects to each of its addresses at once: no packet is sent again.
func (a asker) connectsByName(t *testing.T, server netip.Addr, name string, want []netip.Addr) {
	t.Helper()
	a.resolves(t, server, name, want)
	for _, to := range want {
		conn, err := a.dial(t.Context(), "tcp", target(to, podPort))
		if err != nil {
			t.Errorf("%s to %s at %s: %v", a.name, name, to, err)
			continue
		}
		if n := retransmissions(t, conn); n > 0 {
			t.Errorf("%s to %s at %s: %d packets were sent again", a.name, name, to, n)
		}
		_ = conn.Close()
	}
}

func retransmissions(t *testing.T, conn net.Conn) (n uint32) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		must(t, err)
		n = info.Total_retrans
	}))
	return n
}
