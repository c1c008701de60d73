package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// TestMatrix lets Pods of five Subnets and the nodes reach one another: on one node and across, in one Subnet and across,
// IPv4-only, dual-stack and IPv6-only ones mixed.
func TestMatrix(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "matrix", nil)
	nodes := e.Nodes()[:2]
	var pods []*corev1.Pod
	for name, cidr := range map[string]string{
		"v4-a": "10.101.0.0/24", "v4-b": "10.101.1.0/24",
		"dual-a": "10.101.2.0/24,fd00:10:101:2::/112", "dual-b": "10.101.3.0/24,fd00:10:101:3::/112",
		"v6": "fd00:10:101:4::/112",
	} {
		e.subnet(t, "matrix-"+name, cidr, func(s *v1.SubnetSpec) { s.NatOutgoing = strings.HasSuffix(name, "a") })
		for i, node := range append(nodes, nodes[0]) {
			if i == 2 && !strings.HasSuffix(name, "a") {
				continue // a second Pod on one node is enough in one Subnet of a kind
			}
			pods = append(pods, inSubnet(pod(ns, fmt.Sprintf("%s-%d", name, i+1), node), "matrix-"+name))
		}
	}
	t.Logf("%d Pods Ready after %v", len(pods), e.start(t, pods...))
	var ends []end
	for _, p := range pods {
		ends = append(ends, podEnd(p))
	}
	for _, node := range nodes {
		ends = append(ends, e.nodeEnd(t, ns, node, 18080))
	}
	t.Run("IPv4", func(t *testing.T) { e.reach(t, ends, false) })
	t.Run("IPv6", func(t *testing.T) { e.reach(t, ends, true) })
}

// nodeEnd starts agnhost in a node's own network. Pods see the node by its address on the join Subnet.
func (e *env) nodeEnd(t *testing.T, namespace, node string, port int) end {
	t.Helper()
	p := pod(namespace, "host-"+node, node)
	p.Spec.HostNetwork = true
	p.Spec.Containers = []corev1.Container{hostAgnhost(port)}
	e.start(t, p)
	var obj corev1.Node
	if err := e.client.Get(t.Context(), client.ObjectKey{Name: node}, &obj); err != nil {
		t.Fatal(err)
	}
	var join []netip.Addr
	for text := range strings.SplitSeq(obj.Annotations[v1.AnnotationIPAddress], ",") {
		join = append(join, netip.MustParseAddr(text))
	}
	return end{pod: p, port: port, addresses: addresses(p), source: join}
}

// hostAgnhost answers UDP from the address that was asked. With a socket for all addresses the kernel would answer a Pod from the one
// of the route to it, which is the node's on the join Subnet.
func hostAgnhost(port int) corev1.Container {
	c := agnhost(port)
	c.Args = append(c.Args, "--udp-listen-addresses=$(POD_IPS)")
	c.Env = []corev1.EnvVar{{Name: "POD_IPS", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIPs"}}}}
	return c
}
