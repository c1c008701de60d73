package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// TestServiceOptions has one Service for each field that changes who answers.
func TestServiceOptions(t *testing.T) {
	t.Parallel()
	e := use(t)
	namespace := e.namespace(t, "service-options", nil)
	e.subnet(t, "service-options", "10.120.0.0/24,fd00:10:120::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{namespace} })
	e.subnet(t, "service-without", "10.120.1.0/24,fd00:10:120:1::/112", func(s *v1.SubnetSpec) { s.EnableLb = ptr(false) })
	nodes := e.Nodes()[:2]
	pods := []*corev1.Pod{
		serving(pod(namespace, "here", nodes[0]), "web"), serving(pod(namespace, "there", nodes[1]), "web"),
		inSubnet(pod(namespace, "without", nodes[0]), "service-without"),
	}
	e.start(t, pods...)
	endpoints := endpointsOf(podPort, pods[:2]...)
	choose := map[string]string{label: "web"}
	ofPods := []asker{e.podAsker(t, pods[0]), e.podAsker(t, pods[1])}
	askers := append(slices.Clone(ofPods), e.nodeAsker(t, nodes[0]), e.nodeAsker(t, nodes[1]))

	t.Run("sessionAffinity", func(t *testing.T) {
		s := e.service(t, namespace, "affinity", func(s *corev1.ServiceSpec) {
			s.Selector, s.SessionAffinity = choose, corev1.ServiceAffinityClientIP
		})
		e.balanced(t, s, "tcp", 80, endpoints...)
		for _, a := range askers {
			for _, vip := range vipsOf(s) {
				first, err := a.ask(t.Context(), "tcp", target(vip, 80))
				must(t, err)
				if wrong := a.askOften(t.Context(), "tcp", target(vip, 80)).wrong(first.who); wrong != "" {
					t.Error(wrong)
				}
			}
		}
	})
	t.Run("externalIPs", func(t *testing.T) {
		s := e.service(t, namespace, "external", func(s *corev1.ServiceSpec) {
			s.Selector, s.ExternalIPs = choose, []string{"203.0.113.80", "2001:db8:113::80"}
		})
		e.balanced(t, s, "tcp", 80, endpoints...)
		e.allAsk(t, askers, s, "here", "there")
	})
	t.Run("enableLb", func(t *testing.T) {
		s := e.service(t, namespace, "plain", func(s *corev1.ServiceSpec) { s.Selector = choose })
		e.balanced(t, s, "tcp", 80, endpoints...)
		e.allAsk(t, ofPods, s, "here", "there")
		a := e.podAsker(t, pods[2])
		for _, vip := range vipsOf(s) {
			a.cannotConnect(t, target(vip, 80))
		}
		for _, endpoint := range endpoints {
			if _, err := a.ask(t.Context(), "tcp", endpoint.String()); err != nil {
				t.Errorf("%s asks the endpoint %s itself: %v", a.name, endpoint, err)
			}
		}
	})
}

// cannotConnect wants no connection: refused, or not within a second.
func (a asker) cannotConnect(t *testing.T, target string) {
	t.Helper()
	err := ns.WithNetNSPath(a.netns, func(ns.NetNS) error {
		conn, err := net.DialTimeout("tcp", target, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	if err == nil {
		t.Errorf("%s connects to %s", a.name, target)
	}
}

// TestServicePublishesNotReady: a Pod that is not ready is an endpoint of a Service that wants it so, and of no other.
func TestServicePublishesNotReady(t *testing.T) {
	t.Parallel()
	e := use(t)
	namespace := e.namespace(t, "service-unready", nil)
	nodes := e.Nodes()[:2]
	unready := serving(pod(namespace, "unready", nodes[0]), "published")
	unready.Spec.Containers[0].ReadinessProbe = probe("/", podPort+1)
	c := pod(namespace, "client", nodes[1])
	e.post(t, unready)
	e.start(t, c)
	published := e.service(t, namespace, "published", func(s *corev1.ServiceSpec) { s.PublishNotReadyAddresses = true })
	plain := e.service(t, namespace, "plain", func(s *corev1.ServiceSpec) { s.Selector = published.Spec.Selector })
	await(t, e, unready, func(p *corev1.Pod) string {
		if len(p.Status.ContainerStatuses) == 0 || !ptrIs(p.Status.ContainerStatuses[0].Started) {
			return "its server has not started"
		}
		return ""
	})
	if podReady(unready) == "" {
		t.Fatal("the Pod is ready, and nobody listens")
	}
	e.balanced(t, published, "tcp", 80, endpointsOf(podPort, unready)...)
	e.balanced(t, plain, "tcp", 80)
	askers := []asker{e.podAsker(t, c), e.nodeAsker(t, nodes[0]), e.nodeAsker(t, nodes[1])}
	e.allAsk(t, askers, published, "unready")
	for _, a := range askers {
		for _, vip := range vipsOf(plain) {
			a.refused(t, "tcp", target(vip, 80))
		}
	}
}

func ptrIs(p *bool) bool { return p != nil && *p }

// TestServiceWithoutSelector has endpoints that are written by hand: a host outside of the cluster, and servers in the nodes' own network.
func TestServiceWithoutSelector(t *testing.T) {
	t.Parallel()
	e := use(t)
	namespace := e.namespace(t, "service-by-hand", nil)
	e.subnet(t, "service-by-hand", "10.121.0.0/24,fd00:10:121::/112", func(s *v1.SubnetSpec) {
		s.Namespaces, s.NatOutgoing = []string{namespace}, true
	})
	const port = 18093
	nodes := e.Nodes()[:2]
	pods := []*corev1.Pod{pod(namespace, "client-1", nodes[0]), pod(namespace, "client-2", nodes[1])}
	e.start(t, pods...)
	for name, machines := range map[string][]string{"outside": {"outside-1"}, "nodes": nodes} {
		s := e.service(t, namespace, name, func(s *corev1.ServiceSpec) {
			s.Selector = nil
			s.Ports[0].TargetPort = intstr.FromInt(port)
		})
		var endpoints []netip.AddrPort
		for _, machine := range machines {
			for _, address := range e.addressesOf(t, machine) {
				e.serveIn(t, machine, netip.AddrPortFrom(address, port))
				endpoints = append(endpoints, netip.AddrPortFrom(address, port))
			}
		}
		e.endpointSlices(t, s, endpoints...)
		e.balanced(t, s, "tcp", 80, endpoints...)
		for _, p := range pods {
			a, node := e.podAsker(t, p), e.nodeAsker(t, p.Spec.NodeName)
			own := e.addressesOf(t, p.Spec.NodeName)
			if name == "outside" {
				a.sources = own // natOutgoing
			}
			// It goes there by itself, and to itself with the address that it has chosen for the Service.
			node.sources = append(own, node.sources...)
			e.allAsk(t, []asker{a, node}, s, machines...)
		}
	}
}

// serveIn answers as agnhost does, by the name of the machine.
func (e *env) serveIn(t *testing.T, machine string, address netip.AddrPort) {
	t.Helper()
	m, err := e.Machine(machine)
	must(t, err)
	var listener net.Listener
	must(t, ns.WithNetNSPath(m.NetNS(), func(ns.NetNS) (err error) {
		listener, err = net.Listen("tcp", address.String())
		return err
	}))
	mux := http.NewServeMux()
	mux.HandleFunc("/hostname", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, machine) })
	mux.HandleFunc("/clientip", func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.RemoteAddr) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: connectLimit}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}
