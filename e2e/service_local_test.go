package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// noAnswer is how long one waits for an answer that must not come.
const noAnswer = 200 * time.Millisecond

// balancedNear waits until what differs is in the database, and the nodes have it: for each node, or zone, these endpoints and no
// others. nil is a variant that must not be there.
func (e *env) balancedNear(t *testing.T, s *corev1.Service, scope string, variants map[string][]*corev1.Pod) {
	t.Helper()
	for _, port := range s.Spec.Ports {
		for _, vip := range vipsOf(s) {
			family := map[bool]string{true: "ipv4", false: "ipv6"}[vip.Is4()]
			args := []string{"--timeout=90", "wait-until", "Load_Balancer", fmt.Sprintf("%s/%s:%s:%s", s.Namespace, s.Name, strings.ToLower(string(port.Protocol)), family)}
			for at, servers := range variants {
				var list []string
				for _, endpoint := range endpointsOf(podPort, servers...) {
					if endpoint.Addr().Is4() == vip.Is4() {
						list = append(list, endpoint.String())
					}
				}
				slices.Sort(list)
				sum, is := sha256.Sum256([]byte(at)), fmt.Sprintf("=%q", strings.Join(list, ","))
				if servers == nil {
					is = "{=}[]"
				}
				args = append(args, fmt.Sprintf(`vips:"^vip_%x_%s_%x:%d"%s`, vip.AsSlice(), scope, sum[:8], port.Port, is))
			}
			e.nbctl(t, args...)
		}
	}
	e.inForce(t)
}

// hears wants the answers of exactly these, at each address, and by each protocol.
func (a asker) hears(t *testing.T, s *corev1.Service, want ...string) {
	t.Helper()
	for _, vip := range vipsOf(s) {
		for _, port := range s.Spec.Ports {
			if wrong := a.askOften(t.Context(), strings.ToLower(string(port.Protocol)), target(vip, port.Port)).wrong(want...); wrong != "" {
				t.Error(wrong)
			}
		}
	}
}

// hearsNothing wants no answer and no refusal, 50 times.
func (a asker) hearsNothing(t *testing.T, s *corev1.Service) {
	t.Helper()
	for _, vip := range vipsOf(s) {
		for _, port := range s.Spec.Ports {
			protocol := strings.ToLower(string(port.Protocol))
			for range tries {
				if said, err := a.once(t.Context(), protocol, target(vip, port.Port)); !timedOut(err) {
					t.Errorf("%s asks %s %s and hears %q, %v; want nothing", a.name, protocol, vip, said, err)
					break
				}
			}
		}
	}
}

func (a asker) once(ctx context.Context, protocol, target string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, noAnswer)
	defer cancel()
	conn, err := a.dial(ctx, protocol, target)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err = conn.Write([]byte("hostname")); err == nil {
		err = conn.SetReadDeadline(time.Now().Add(noAnswer))
	}
	if err != nil {
		return "", err
	}
	var answer [100]byte
	n, err := conn.Read(answer[:])
	return string(answer[:n]), err
}

// nearWorld has a server and a client on each of two nodes.
type nearWorld struct {
	*env
	namespace string
	nodes     []string
	servers   []*corev1.Pod
	askers    map[string][]asker // by node: a Pod, and the node itself
}

func newNearWorld(t *testing.T, name, cidr string) *nearWorld {
	t.Helper()
	w := &nearWorld{env: use(t), askers: map[string][]asker{}}
	w.namespace = w.env.namespace(t, name, nil)
	w.subnet(t, name, cidr, func(s *v1.SubnetSpec) { s.Namespaces = []string{w.namespace} })
	w.nodes = w.Nodes()[:2]
	clients := []*corev1.Pod{pod(w.namespace, "client-1", w.nodes[0]), pod(w.namespace, "client-2", w.nodes[1])}
	w.servers = []*corev1.Pod{serving(pod(w.namespace, "server-1", w.nodes[0]), "near"), serving(pod(w.namespace, "server-2", w.nodes[1]), "near")}
	w.start(t, append(slices.Clone(clients), w.servers...)...)
	for i, node := range w.nodes {
		w.askers[node] = []asker{w.podAsker(t, clients[i]), w.podAsker(t, w.servers[i]), w.nodeAsker(t, node)}
	}
	return w
}

// near makes a Service for the servers with a port for each protocol.
func (w *nearWorld) near(t *testing.T, name string, change func(*corev1.ServiceSpec)) *corev1.Service {
	t.Helper()
	return w.service(t, w.namespace, name, func(s *corev1.ServiceSpec) {
		s.Selector = map[string]string{label: "near"}
		s.Ports = append(s.Ports, corev1.ServicePort{Name: "udp", Port: 80, TargetPort: intstr.FromInt(podPort), Protocol: corev1.ProtocolUDP})
		change(s)
	})
}

// each is what each node has: its own server.
func (w *nearWorld) each() map[string][]*corev1.Pod {
	return map[string][]*corev1.Pod{w.nodes[0]: w.servers[:1], w.nodes[1]: w.servers[1:]}
}

// TestServiceInternalLocal: each client hears the endpoint of its own node; without one, nothing. A NodePort goes on reaching all.
func TestServiceInternalLocal(t *testing.T) {
	t.Parallel()
	w := newNearWorld(t, "service-local", "10.144.0.0/24,fd00:10:144::/112")
	local := corev1.ServiceInternalTrafficPolicyLocal
	s := w.near(t, "local", func(s *corev1.ServiceSpec) { s.InternalTrafficPolicy, s.Type = &local, corev1.ServiceTypeNodePort })
	sticky := w.near(t, "sticky", func(s *corev1.ServiceSpec) {
		s.InternalTrafficPolicy, s.SessionAffinity = &local, corev1.ServiceAffinityClientIP
	})
	w.balancedNear(t, s, "local", w.each())
	w.balancedNear(t, sticky, "local", w.each())
	for i, node := range w.nodes {
		for _, a := range w.askers[node] {
			a.hears(t, s, w.servers[i].Name)
			a.hears(t, sticky, w.servers[i].Name)
		}
	}
	w.nodePortReachesAll(t, s)
	w.stop(t, w.servers[1])
	w.balancedNear(t, s, "local", map[string][]*corev1.Pod{w.nodes[0]: w.servers[:1], w.nodes[1]: nil})
	for _, a := range w.askers[w.nodes[0]] {
		a.hears(t, s, w.servers[0].Name)
	}
	for _, a := range []asker{w.askers[w.nodes[1]][0], w.askers[w.nodes[1]][2]} {
		a.hearsNothing(t, s)
	}
	w.stop(t, w.servers[0])
	w.balanced(t, s, "tcp", 80)
	w.balanced(t, s, "udp", 80)
	for _, a := range []asker{w.askers[w.nodes[0]][0], w.askers[w.nodes[1]][2]} {
		for _, vip := range vipsOf(s) {
			a.refused(t, "tcp", target(vip, 80))
		}
	}
}

// nodePortReachesAll asks each node at its own addresses, from the node itself.
func (w *nearWorld) nodePortReachesAll(t *testing.T, s *corev1.Service) {
	t.Helper()
	for _, node := range w.nodes {
		a := w.askers[node][2]
		for _, address := range w.addressesOf(t, node) {
			heard := a.askOften(t.Context(), "tcp", netip.AddrPortFrom(address, uint16(s.Spec.Ports[0].NodePort)).String())
			who := map[string]bool{}
			for h := range heard.answers {
				who[h.who] = true
			}
			if got := slices.Sorted(maps.Keys(who)); len(heard.failures) > 0 || !slices.Equal(got, []string{"server-1", "server-2"}) {
				t.Errorf("%s asks the NodePort at %s and hears %v; failures %q", a.name, address, heard.answers, heard.failures)
			}
		}
	}
}

// TestServiceSameNode: the endpoint of the client's node answers as long as there is one, then all.
func TestServiceSameNode(t *testing.T) {
	t.Parallel()
	w := newNearWorld(t, "service-node", "10.145.0.0/24,fd00:10:145::/112")
	s := w.near(t, "same-node", func(s *corev1.ServiceSpec) {
		s.TrafficDistribution = ptr(corev1.ServiceTrafficDistributionPreferSameNode)
	})
	w.balancedNear(t, s, "node", w.each())
	for i, node := range w.nodes {
		for _, a := range w.askers[node] {
			a.hears(t, s, w.servers[i].Name)
		}
	}
	w.stop(t, w.servers[1])
	w.balanced(t, s, "tcp", 80, endpointsOf(podPort, w.servers[0])...) // the same for all nodes
	w.balanced(t, s, "udp", 80, endpointsOf(podPort, w.servers[0])...)
	for _, a := range []asker{w.askers[w.nodes[0]][0], w.askers[w.nodes[1]][0], w.askers[w.nodes[1]][2]} {
		a.hears(t, s, w.servers[0].Name)
	}
}

// TestServiceSameZone labels the nodes, which concerns everybody: it runs alone.
func TestServiceSameZone(t *testing.T) {
	w := newNearWorld(t, "service-zone", "10.124.0.0/24,fd00:10:124::/112")
	for i, node := range w.nodes {
		w.inZone(t, node, fmt.Sprintf("zone-%d", i+1))
	}
	s := w.near(t, "same-zone", func(s *corev1.ServiceSpec) {
		s.TrafficDistribution = ptr(corev1.ServiceTrafficDistributionPreferSameZone)
	})
	w.balancedNear(t, s, "zone", map[string][]*corev1.Pod{"zone-1": w.servers[:1], "zone-2": w.servers[1:]})
	for i, node := range w.nodes {
		for _, a := range w.askers[node] {
			a.hears(t, s, w.servers[i].Name)
		}
	}
	w.stop(t, w.servers[1])
	w.balanced(t, s, "tcp", 80, endpointsOf(podPort, w.servers[0])...)
	w.balanced(t, s, "udp", 80, endpointsOf(podPort, w.servers[0])...)
	for _, a := range []asker{w.askers[w.nodes[0]][0], w.askers[w.nodes[1]][0], w.askers[w.nodes[1]][2]} {
		a.hears(t, s, w.servers[0].Name)
	}
}

// inZone labels a node and takes the label away when the test ends.
func (w *nearWorld) inZone(t *testing.T, node, zone string) {
	t.Helper()
	var before corev1.Node
	must(t, w.client.Get(t.Context(), client.ObjectKey{Name: node}, &before))
	old := corev1.LabelTopologyZone + "-"
	if value, ok := before.Labels[corev1.LabelTopologyZone]; ok {
		old = corev1.LabelTopologyZone + "=" + value
	}
	t.Cleanup(func() {
		if said, err := w.Kubectl(context.WithoutCancel(t.Context()), "", "label", "--overwrite", "node", node, old); err != nil {
			t.Error(err, said)
		}
	})
	w.kubectl(t, "label", "--overwrite", "node", node, corev1.LabelTopologyZone+"="+zone)
}
