package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// endpointSlices makes EndpointSlices by hand, one of each family.
func (e *env) endpointSlices(t *testing.T, s *corev1.Service, endpoints ...netip.AddrPort) []*discoveryv1.EndpointSlice {
	t.Helper()
	var list []*discoveryv1.EndpointSlice
	for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
		obj := &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: s.Namespace, Name: s.Name + "-" + strings.ToLower(string(family)),
				Labels: map[string]string{discoveryv1.LabelServiceName: s.Name, discoveryv1.LabelManagedBy: "e2e"},
			},
			AddressType: family,
		}
		for _, port := range s.Spec.Ports {
			obj.Ports = append(obj.Ports, discoveryv1.EndpointPort{Name: ptr(port.Name), Port: ptr(int32(endpoints[0].Port())), Protocol: ptr(port.Protocol)})
		}
		for _, endpoint := range endpoints {
			if endpoint.Addr().Is4() == (family == discoveryv1.AddressTypeIPv4) {
				obj.Endpoints = append(obj.Endpoints, discoveryv1.Endpoint{Addresses: []string{endpoint.Addr().String()}})
			}
		}
		e.create(t, obj)
		list = append(list, obj)
	}
	return list
}

// without takes an endpoint out of slices.
func (e *env) without(t *testing.T, list []*discoveryv1.EndpointSlice, gone *corev1.Pod) {
	t.Helper()
	for _, obj := range list {
		update(t, e, obj, func(s *discoveryv1.EndpointSlice) {
			s.Endpoints = slices.DeleteFunc(s.Endpoints, func(x discoveryv1.Endpoint) bool {
				return slices.Contains(addresses(gone), netip.MustParseAddr(x.Addresses[0]))
			})
		})
	}
}

// TestServiceEndpointGone: from a moment after an endpoint is taken away, no new connection goes to it, and a client that goes on
// sending datagrams from one socket reaches another one within a second. Not in parallel: it measures.
func TestServiceEndpointGone(t *testing.T) {
	e := use(t)
	ns := e.namespace(t, "service-gone", nil)
	e.subnet(t, "service-gone", "10.117.0.0/24,fd00:10:117::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	nodes := e.Nodes()[:2]
	pods := []*corev1.Pod{pod(ns, "here", nodes[0]), pod(ns, "there", nodes[1]), pod(ns, "client", nodes[0])}
	e.start(t, pods...)
	web := e.service(t, ns, "web", func(s *corev1.ServiceSpec) {
		s.Selector = nil
		s.Ports = append(s.Ports, corev1.ServicePort{Name: "udp", Port: 80, Protocol: corev1.ProtocolUDP})
	})
	list := e.endpointSlices(t, web, endpointsOf(podPort, pods[:2]...)...)
	e.balanced(t, web, "udp", 80, endpointsOf(podPort, pods[:2]...)...)
	var flows []datagrams
	for _, a := range []asker{e.podAsker(t, pods[2]), e.nodeAsker(t, nodes[0]), e.nodeAsker(t, nodes[1])} {
		for _, vip := range vipsOf(web) {
			flows = append(flows, a.startDatagrams(t, target(vip, 80), "there"))
		}
	}
	began := time.Now()
	e.without(t, list, pods[1])
	moved(t, flows, "here", began)
	e.balanced(t, web, "tcp", 80, endpointsOf(podPort, pods[0])...)
	e.allAsk(t, []asker{e.podAsker(t, pods[2]), e.nodeAsker(t, nodes[0]), e.nodeAsker(t, nodes[1])}, web, "here")
}

// datagrams is a UDP socket that has reached a certain endpoint.
type datagrams struct {
	name string
	conn net.Conn
}

// startDatagrams opens sockets until one reaches the endpoint.
func (a asker) startDatagrams(t *testing.T, target, endpoint string) datagrams {
	t.Helper()
	for range tries {
		conn, err := a.dial(t.Context(), "udp", target)
		must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		who, err := overUDP(conn, "hostname")
		must(t, err)
		if who == endpoint {
			return datagrams{a.name + " to " + target, conn}
		}
	}
	t.Fatalf("%s never reaches %s by %s", a.name, endpoint, target)
	return datagrams{}
}

// reaches goes on sending, and tells how long after began another endpoint has answered.
func (d datagrams) reaches(endpoint string, began time.Time) (time.Duration, error) {
	tick := time.NewTicker(time.Millisecond) // so often that some datagram comes between any two steps of whoever cuts the flow
	defer tick.Stop()
	var answer [1500]byte
	for time.Since(began) < connectLimit {
		<-tick.C
		if err := d.conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			return 0, err
		}
		if _, err := d.conn.Write([]byte("hostname")); err != nil {
			return 0, err
		}
		n, err := d.conn.Read(answer[:])
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
		if string(answer[:n]) == endpoint {
			return time.Since(began), nil
		}
	}
	return 0, fmt.Errorf("%s has not answered for %v", endpoint, connectLimit)
}

// moved waits until all have reached the endpoint.
func moved(t *testing.T, flows []datagrams, endpoint string, began time.Time) {
	t.Helper()
	var asking sync.WaitGroup
	for _, d := range flows {
		asking.Go(func() {
			took, err := d.reaches(endpoint, began)
			if err != nil || took > time.Second {
				t.Errorf("%s: reaches %s after %v, error %v; want within a second", d.name, endpoint, took, err)
				return
			}
			t.Logf("%s: reaches %s after %v", d.name, endpoint, took.Round(time.Millisecond))
		})
	}
	asking.Wait()
}

// TestServiceTerminating: an endpoint that is about to end gets no new connection while there is another one, and those that it has
// live on. When it is the last one, it gets new ones too.
func TestServiceTerminating(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "service-ending", nil)
	e.subnet(t, "service-ending", "10.118.0.0/24,fd00:10:118::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	nodes := e.Nodes()[:2]
	pods := []*corev1.Pod{serving(lingering(ns, "stays", nodes[0]), "web"), serving(lingering(ns, "ends", nodes[1]), "web"), pod(ns, "client", nodes[0])}
	web := e.service(t, ns, "web", nil)
	e.start(t, pods...)
	e.balanced(t, web, "tcp", 80, endpointsOf(podPort, pods[:2]...)...)
	askers := []asker{e.podAsker(t, pods[2]), e.nodeAsker(t, nodes[0]), e.nodeAsker(t, nodes[1])}
	var held []net.Conn
	for _, a := range askers {
		for _, vip := range vipsOf(web) {
			held = append(held, a.connectTo(t, target(vip, 80), "ends"))
		}
	}
	e.remove(t, pods[1])
	e.balanced(t, web, "tcp", 80, endpointsOf(podPort, pods[0])...)
	e.allAsk(t, askers, web, "stays")
	e.remove(t, pods[0])
	e.balanced(t, web, "tcp", 80, endpointsOf(podPort, pods[:2]...)...)
	e.allAsk(t, askers, web, "ends", "stays")
	for _, conn := range held {
		if who, err := overTCP(conn, "hostname"); err != nil || who != "ends" {
			t.Errorf("a connection to %s that was there before its end: answer %q, error %v", conn.RemoteAddr(), who, err)
		}
	}
}

// lingering is a Pod that goes on serving for a while after it was deleted.
func lingering(namespace, name, node string) *corev1.Pod {
	const seconds = 20
	p := pod(namespace, name, node)
	p.Spec.TerminationGracePeriodSeconds = ptr(int64(seconds + 1))
	p.Spec.Containers[0].Args = append(p.Spec.Containers[0].Args, fmt.Sprint("--delay-shutdown=", seconds))
	return p
}

// connectTo opens connections until one reaches the endpoint, and keeps this one.
func (a asker) connectTo(t *testing.T, target, endpoint string) net.Conn {
	t.Helper()
	for range tries {
		conn, err := a.dial(t.Context(), "tcp", target)
		must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		who, err := overTCP(conn, "hostname")
		must(t, err)
		if who == endpoint {
			return conn
		}
	}
	t.Fatalf("%s never reaches %s by %s", a.name, endpoint, target)
	return nil
}
