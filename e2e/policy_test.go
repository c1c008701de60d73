package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/heddle-net/heddle/controller/verdict"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// otherPort is a second one that the Pods of these tests serve.
const otherPort = podPort + 1

// TestPolicies compares who reaches whom, of three Namespaces of three Pods, on two ports by TCP and UDP, with what their policies say:
// of Pods with addresses of two families in each of them, and of Pods with one.
func TestPolicies(t *testing.T) {
	t.Parallel()
	e := use(t)
	sets, err := txtar.ParseFile("testdata/policies.txtar")
	must(t, err)
	m := policyMatrix{e: e}
	for _, space := range []string{"a", "b", "c"} {
		e.namespace(t, "policy-"+space, map[string]string{"space": space})
		m.namespaces = append(m.namespaces, space)
	}
	for _, network := range []struct{ subnet, cidr string }{{"policies", "10.142.0.0/24,fd00:10:142::/112"}, {"policies-4", "10.142.1.0/24"}} {
		t.Run(network.subnet, func(t *testing.T) {
			e.subnet(t, network.subnet, network.cidr, nil)
			m.start(t, network.subnet)
			for _, set := range sets.Files {
				m.inForce(t, set)
			}
		})
	}
}

// policyMatrix is the Pods that ask each other, and what policies look at.
type policyMatrix struct {
	e          *env
	namespaces []string
	cluster    verdict.Cluster
	askers     map[string]asker // by the Pod's namespace/name
}

// start starts three Pods in each Namespace.
func (m *policyMatrix) start(t *testing.T, subnet string) {
	t.Helper()
	var pods []*corev1.Pod
	for i, space := range m.namespaces {
		for j, name := range []string{"x", "y", "z"} {
			p := inSubnet(pod("policy-"+space, name, m.e.Nodes()[(i+j)%2]), subnet)
			p.Labels = map[string]string{"pod": name}
			second := agnhost(otherPort)
			second.Name, second.Ports = "second", []corev1.ContainerPort{{Name: "second", ContainerPort: otherPort}}
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "main", ContainerPort: podPort}}
			p.Spec.Containers = append(p.Spec.Containers, second)
			pods = append(pods, p)
		}
	}
	m.e.start(t, pods...)
	m.cluster, m.askers = verdict.Cluster{Pods: pods}, make(map[string]asker)
	var namespaces corev1.NamespaceList
	var nodes corev1.NodeList
	must(t, errors.Join(m.e.client.List(t.Context(), &namespaces), m.e.client.List(t.Context(), &nodes)))
	for i := range namespaces.Items {
		m.cluster.Namespaces = append(m.cluster.Namespaces, &namespaces.Items[i])
	}
	for i := range nodes.Items {
		m.cluster.Nodes = append(m.cluster.Nodes, &nodes.Items[i])
	}
	for _, p := range pods {
		m.askers[p.Namespace+"/"+p.Name] = m.e.podAsker(t, p)
	}
}

// inForce puts policies in force, alone, and has everybody ask everybody until all is as it should be, or the time is over.
func (m *policyMatrix) inForce(t *testing.T, set txtar.File) {
	t.Helper()
	policies, err := verdict.Parse(string(set.Data))
	must(t, err)
	objects := objectsOf(policies)
	for _, obj := range objects {
		must(t, m.e.client.Create(t.Context(), obj))
	}
	defer func() {
		for _, obj := range objects {
			m.e.remove(t, obj)
		}
	}()
	c := *policies
	c.Namespaces, c.Pods, c.Nodes = m.cluster.Namespaces, m.cluster.Pods, m.cluster.Nodes
	want := m.table()
	if open := untilAsWanted(t, set.Name, m.cells(&c, want)); len(open) > 0 {
		t.Errorf("%s: %d cells are not as they should be, which is:\n%s", set.Name, len(open), want)
	}
}

func objectsOf(c *verdict.Cluster) (objects []client.Object) {
	for _, p := range c.NetworkPolicies {
		objects = append(objects, p)
	}
	for _, p := range c.AdminNetworkPolicies {
		objects = append(objects, p)
	}
	for _, p := range c.BaselineAdminNetworkPolicies {
		objects = append(objects, p)
	}
	for _, p := range c.ClusterNetworkPolicies {
		objects = append(objects, p)
	}
	return objects
}

// table is of everybody, in each family that they have, with nothing in it.
func (m *policyMatrix) table() *verdict.Table {
	var probes []verdict.Probe
	families := []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	for _, family := range families[:len(m.cluster.Pods[0].Status.PodIPs)] {
		for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
			for _, port := range []int32{podPort, otherPort} {
				probes = append(probes, verdict.Probe{Family: family, Protocol: protocol, Port: port})
			}
		}
	}
	var peers []verdict.Peer
	for _, p := range m.cluster.Pods {
		peers = append(peers, verdict.Peer{Pod: p.Namespace + "/" + p.Name})
	}
	return verdict.NewTable(peers, peers, probes)
}

// cells fills a table in, and lists its questions. Nobody asks himself.
func (m *policyMatrix) cells(c *verdict.Cluster, table *verdict.Table) (cells []*openCell) {
	for _, p := range table.Packets() {
		allowed, _ := c.Allowed(p)
		table.Set(p, allowed)
		if p.From == p.To {
			continue
		}
		to := ofFamily(m.askers[p.To.Pod].sources, p.Family == corev1.IPv6Protocol)
		at := frontend{protocol: strings.ToLower(string(p.Protocol)), target: target(to, p.Port)}
		cells = append(cells, &openCell{name: p.String(), asker: m.askers[p.From.Pod], at: at, want: allowed})
	}
	return cells
}

// TestIsolatedFromTheStart starts Pods into a Namespace that denies everything, with a neighbour that asks them as soon as they have an
// address; probes of the kubelet make them Ready all the same.
func TestIsolatedFromTheStart(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns, outside := e.namespace(t, "policy-first", nil), e.namespace(t, "policy-first-client", nil)
	e.subnet(t, "policy-first", "10.143.0.0/24", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns, outside} })
	e.create(t, &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "deny"}})
	client := pod(outside, "client", e.Nodes()[0])
	e.start(t, client)
	for i := range 5 {
		server := withAddress(pod(ns, fmt.Sprintf("server-%d", i), e.Nodes()[i%2]), fmt.Sprintf("10.143.0.%d", 100+i))
		asked := make(chan string)
		go func() {
			asked <- e.exec(t, client, "sh", "-c", fmt.Sprintf(
				`n=0; while [ $n -lt 40 ]; do n=$((n+1)); curl -s -m 0.3 http://10.143.0.%d:%d/hostname && echo; done; true`, 100+i, podPort))
		}()
		e.start(t, server)
		if said := <-asked; said != "" {
			t.Errorf("a Pod answered although it is isolated: %q", said)
		}
	}
}
