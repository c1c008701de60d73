package e2e

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// TestServiceSourceRanges has two load balancers: one for the Pods of a Subnet, one for a host outside. Everybody asks both.
func TestServiceSourceRanges(t *testing.T) {
	t.Parallel()
	e := use(t)
	namespace := e.namespace(t, "service-ranges", nil)
	e.subnet(t, "service-ranges-in", "10.126.0.0/24,fd00:10:126::/112", nil)
	e.subnet(t, "service-ranges-out", "10.126.1.0/24,fd00:10:126:1::/112", func(s *v1.SubnetSpec) { s.NatOutgoing = true })
	nodes := e.Nodes()[:2]
	pods := []*corev1.Pod{
		inSubnet(serving(pod(namespace, "web", nodes[0]), "web"), "service-ranges-in"), inSubnet(pod(namespace, "in", nodes[1]), "service-ranges-in"),
		inSubnet(pod(namespace, "out-1", nodes[0]), "service-ranges-out"), inSubnet(pod(namespace, "out-2", nodes[1]), "service-ranges-out"),
	}
	e.start(t, pods...)
	outside, err := e.Machine("outside-1")
	must(t, err)
	in := []asker{e.podAsker(t, pods[0]), e.podAsker(t, pods[1])}
	out := []asker{e.podAsker(t, pods[2]), e.podAsker(t, pods[3]), e.nodeAsker(t, nodes[0]), e.nodeAsker(t, nodes[1])}
	far := asker{name: "outside-1", netns: outside.NetNS()}

	ofPods := []string{"203.0.113.90", "2001:db8:113::90"}
	ofOutside := []string{"203.0.113.91", "2001:db8:113::91"}
	for _, cidr := range []string{"203.0.113.90/31", "2001:db8:113::90/127"} {
		by := ofFamily(e.addressesOf(t, nodes[0]), strings.Contains(cidr, ":")).String()
		e.run(t, "router", "ip", "route", "add", cidr, "via", by)
		t.Cleanup(func() { e.routeGone(t, cidr) })
	}
	e.balancer(t, namespace, "for-pods", ofPods, "10.126.0.0/24", "fd00:10:126::/112")
	var hosts []string
	for _, a := range e.addressesOf(t, "outside-1") {
		hosts = append(hosts, netip.PrefixFrom(a, a.BitLen()).String())
	}
	e.balancer(t, namespace, "for-outside", ofOutside, hosts...)

	for _, a := range in {
		a.allowed(t, ofPods)
		a.dropped(t, ofOutside)
	}
	for _, a := range out {
		a.dropped(t, ofPods)
		a.dropped(t, ofOutside)
	}
	far.dropped(t, ofPods)
	far.allowed(t, ofOutside)
}

func (e *env) routeGone(t *testing.T, cidr string) {
	if said, err := e.Run(context.WithoutCancel(t.Context()), "router", "ip", "route", "del", cidr); err != nil {
		t.Error(err, said)
	}
}

// balancer makes a Service of the Pod web with addresses as a load balancer gives them, and waits until all nodes know.
func (e *env) balancer(t *testing.T, namespace, name string, at []string, ranges ...string) {
	t.Helper()
	s := e.service(t, namespace, name, func(s *corev1.ServiceSpec) {
		s.Type, s.LoadBalancerSourceRanges, s.Selector = corev1.ServiceTypeLoadBalancer, ranges, map[string]string{label: "web"}
		s.Ports = append(s.Ports, corev1.ServicePort{Name: "udp", Port: 80, TargetPort: intstr.FromInt(podPort), Protocol: corev1.ProtocolUDP})
	})
	for _, ip := range at {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
	}
	must(t, e.client.Status().Update(t.Context(), s))
	e.inForce(t)
	for _, node := range e.Nodes() {
		for _, ip := range at {
			family := "4"
			if strings.Contains(ip, ":") {
				family = "6"
			}
			e.awaitElement(t, node, "cluster-ip-v"+family, ip+" . udp . 80")
		}
	}
}

// awaitElement looks at a map of a node's whenever nftables change there.
func (e *env) awaitElement(t *testing.T, node, table, text string) {
	t.Helper()
	m, err := e.Machine(node)
	must(t, err)
	here, err := netns.Get()
	must(t, err)
	defer here.Close()
	there, err := netns.GetFromPath(m.NetNS())
	must(t, err)
	defer there.Close()
	s, err := nl.SubscribeAt(there, here, unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	must(t, err)
	defer s.Close()
	must(t, s.SetReceiveTimeout(&unix.Timeval{Sec: int64(timeLimit / time.Second)}))
	daemon := e.daemonOn(t, node)
	for {
		said := e.kubectl(t, "-n", "kube-system", "exec", daemon, "-c", "daemon", "--", "nft", "list", "map", "inet", "heddle", table)
		if strings.Contains(said, text) {
			return
		}
		if _, _, err := s.Receive(); err != nil {
			t.Fatalf("%s has no %q in %s (%v), but\n%s", node, text, table, err, said)
		}
	}
}

// daemonOn is the Pod of the daemon on a node.
func (e *env) daemonOn(t *testing.T, node string) string {
	t.Helper()
	return strings.TrimSpace(e.kubectl(t, "-n", "kube-system", "get", "pods", "-l", "app.kubernetes.io/component=daemon", "--field-selector", "spec.nodeName="+node, "-o", "name"))
}

// allowed gets answers of both protocols.
func (a asker) allowed(t *testing.T, at []string) {
	t.Helper()
	for _, ip := range at {
		for _, protocol := range []string{"tcp", "udp"} {
			if h, err := a.ask(t.Context(), protocol, net.JoinHostPort(ip, "80")); err != nil || h.who != "web" {
				t.Errorf("%s asks %s %s: %s, %v", a.name, protocol, ip, h, err)
			}
		}
	}
}

// dropped gets no answer within a second.
func (a asker) dropped(t *testing.T, at []string) {
	t.Helper()
	for _, ip := range at {
		a.cannotConnect(t, net.JoinHostPort(ip, "80"))
		var n int
		err := ns.WithNetNSPath(a.netns, func(ns.NetNS) error {
			conn, err := net.Dial("udp", net.JoinHostPort(ip, "80"))
			if err != nil {
				return err
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
				return err
			}
			if _, err := conn.Write([]byte("hostname")); err != nil {
				return err // a node's own is refused where it would leave
			}
			n, err = conn.Read(make([]byte, 100))
			return err
		})
		if err == nil {
			t.Errorf("%s asks udp %s: %d octets", a.name, ip, n)
		}
	}
}
