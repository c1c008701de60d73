package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// label chooses the Pods of a Service.
const label = "e2e-app"

// service makes a Service of both families for the Pods with its name as their label, TCP from port 80 to theirs.
func (e *env) service(t *testing.T, namespace, name string, change func(*corev1.ServiceSpec)) *corev1.Service {
	t.Helper()
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.ServiceSpec{
			Selector:       map[string]string{label: name},
			IPFamilyPolicy: ptr(corev1.IPFamilyPolicyRequireDualStack),
			Ports:          []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt(podPort)}},
		},
	}
	if change != nil {
		change(&s.Spec)
	}
	e.create(t, s)
	return s
}

// serving is a Pod that a Service chooses.
func serving(p *corev1.Pod, service string) *corev1.Pod {
	p.Labels = map[string]string{label: service}
	return p
}

// balanced waits until every node sends all that is for a port of the Service to these endpoints, none of them being a state
// too: first the database has to have it, then the nodes what is in the database.
func (e *env) balanced(t *testing.T, s *corev1.Service, protocol string, port int32, endpoints ...netip.AddrPort) {
	t.Helper()
	args := []string{"--timeout=90", "wait-until", "Load_Balancer", fmt.Sprintf("%s/%s:%s", s.Namespace, s.Name, protocol)}
	for _, vip := range vipsOf(s) {
		var list []string
		for _, endpoint := range endpoints {
			if endpoint.Addr().Is4() == vip.Is4() {
				list = append(list, endpoint.String())
			}
		}
		slices.Sort(list)
		args = append(args, fmt.Sprintf(`vips:"%s"="%s"`, netip.AddrPortFrom(vip, uint16(port)), strings.Join(list, ",")))
	}
	e.nbctl(t, args...)
	e.inForce(t)
}

func vipsOf(s *corev1.Service) []netip.Addr {
	var list []netip.Addr
	for _, text := range slices.Concat(s.Spec.ClusterIPs, s.Spec.ExternalIPs) {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

// endpointsOf are the Pods' addresses with a port.
func endpointsOf(port uint16, pods ...*corev1.Pod) []netip.AddrPort {
	var list []netip.AddrPort
	for _, p := range pods {
		for _, address := range addresses(p) {
			list = append(list, netip.AddrPortFrom(address, port))
		}
	}
	return list
}

func names(pods ...*corev1.Pod) []string {
	var list []string
	for _, p := range pods {
		list = append(list, p.Name)
	}
	return list
}

func target(vip netip.Addr, port int32) string { return netip.AddrPortFrom(vip, uint16(port)).String() }

// TestServiceClusterIP asks a Service of two families, with ports by number and by name, TCP and UDP, from Pods and nodes. One of the
// Pods is an endpoint itself, and reaches itself too.
func TestServiceClusterIP(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "service", nil)
	e.subnet(t, "service", "10.116.0.0/24,fd00:10:116::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	nodes := e.Nodes()[:2]
	pods := []*corev1.Pod{
		serving(pod(ns, "here", nodes[0]), "web"), serving(pod(ns, "there", nodes[1]), "web"),
		pod(ns, "client-1", nodes[0]), pod(ns, "client-2", nodes[1]),
	}
	for _, p := range pods {
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: podPort}}
	}
	web := e.service(t, ns, "web", func(s *corev1.ServiceSpec) {
		s.Ports = []corev1.ServicePort{
			{Name: "named", Port: 80, TargetPort: intstr.FromString("web")},
			{Name: "number", Port: 8081, TargetPort: intstr.FromInt(podPort)},
			{Name: "udp", Port: 80, TargetPort: intstr.FromInt(podPort), Protocol: corev1.ProtocolUDP},
		}
	})
	e.start(t, pods...)
	endpoints := endpointsOf(podPort, pods[:2]...)
	e.balanced(t, web, "tcp", 8081, endpoints...)
	e.balanced(t, web, "udp", 80, endpoints...)

	askers := []asker{
		e.podAsker(t, pods[0]), e.podAsker(t, pods[2]), e.podAsker(t, pods[3]), e.nodeAsker(t, nodes[0]), e.nodeAsker(t, nodes[1]),
	}
	e.allAsk(t, askers, web, names(pods[:2]...)...)
}

// allAsk lets all ask every port of the Service by every address, and wants the answers of these.
func (e *env) allAsk(t *testing.T, askers []asker, s *corev1.Service, want ...string) {
	t.Helper()
	began := time.Now()
	results := make(chan string)
	var group errgroup.Group
	for _, a := range askers {
		group.Go(func() error {
			for _, vip := range vipsOf(s) {
				for _, port := range s.Spec.Ports {
					results <- a.askOften(t.Context(), strings.ToLower(string(port.Protocol)), target(vip, port.Port)).wrong(want...)
				}
			}
			return nil
		})
	}
	go func() {
		_ = group.Wait() // no error
		close(results)
	}()
	cases := 0
	for wrong := range results {
		if cases++; wrong != "" {
			t.Error(wrong)
		}
	}
	t.Logf("%d cases of %d connections in %v", cases, tries, time.Since(began).Round(time.Millisecond))
}

// TestServiceAPIServer reaches the API server by its Service, from each node and from a Pod on each.
func TestServiceAPIServer(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "service-api", nil)
	var kubernetes corev1.Service
	must(t, e.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "kubernetes"}, &kubernetes))
	for _, node := range e.Nodes()[:2] {
		p := pod(ns, node, node)
		e.start(t, p)
		script := fmt.Sprintf("for n in $(seq %d); do curl -g -k -s -S -m 10 https://%s/livez; echo; done", tries, target(vipsOf(&kubernetes)[0], 443))
		if said := e.exec(t, p, "sh", "-c", script); said != strings.Repeat("ok\n", tries) {
			t.Errorf("a Pod on %s hears from the API server:\n%s", node, said)
		}
		if said := e.run(t, node, "sh", "-c", script); said != strings.Repeat("ok\n", tries) {
			t.Errorf("%s hears from the API server:\n%s", node, said)
		}
	}
}

// TestServiceRefuses: without endpoints, connections are refused at once, wherever they come from.
func TestServiceRefuses(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "service-none", nil)
	none := e.service(t, ns, "none", func(s *corev1.ServiceSpec) {
		s.Ports = append(s.Ports, corev1.ServicePort{Name: "udp", Port: 80, Protocol: corev1.ProtocolUDP})
	})
	nodes := e.Nodes()[:2]
	pods := []*corev1.Pod{pod(ns, "client-1", nodes[0]), pod(ns, "client-2", nodes[1])}
	e.start(t, pods...)
	e.balanced(t, none, "tcp", 80)
	e.balanced(t, none, "udp", 80)
	for _, a := range []asker{e.podAsker(t, pods[0]), e.podAsker(t, pods[1]), e.nodeAsker(t, nodes[0]), e.nodeAsker(t, nodes[1])} {
		for _, vip := range vipsOf(none) {
			for _, protocol := range []string{"tcp", "udp"} {
				a.refused(t, protocol, target(vip, 80))
			}
		}
	}
}

// refused asks 50 times and wants to be refused each time, within a second.
func (a asker) refused(t *testing.T, protocol, target string) {
	t.Helper()
	for range tries {
		began := time.Now()
		h, err := a.ask(t.Context(), protocol, target)
		took := time.Since(began)
		if !errors.Is(err, syscall.ECONNREFUSED) || took > time.Second {
			t.Errorf("%s asks %s %s: answer %v, error %v, after %v; want to be refused within a second", a.name, protocol, target, h, err, took)
			return
		}
	}
}
