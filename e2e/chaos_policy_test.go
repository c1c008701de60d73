package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// beat is how often those send who must not be heard.
const beat = 10 * time.Millisecond

// TestPolicyHolds kills one process after another, and deletes the databases, while a policy denies a Pod everything and others send to
// it all the time, from its own node's network of Pods and from another node's, in each family: nothing arrives. The same Pods send to its
// neighbour as well, which shows that it would.
func TestPolicyHolds(t *testing.T) {
	e := use(t)
	namespace := e.namespace(t, "policy-holds", nil)
	e.subnet(t, namespace, "10.144.0.0/24,fd00:10:144::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{namespace} })
	e.create(t, &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "deny"},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"denied": "yes"}}},
	})
	nodes := e.Nodes()[:2]
	denied, neighbour := pod(namespace, "denied", nodes[0]), pod(namespace, "neighbour", nodes[0])
	denied.Labels = map[string]string{"denied": "yes"}
	senders := []*corev1.Pod{pod(namespace, "near", nodes[0]), pod(namespace, "far", nodes[1])}
	e.start(t, denied, neighbour, senders[0], senders[1])
	forbidden, allowed := e.listenIn(t, denied), e.listenIn(t, neighbour)
	for _, p := range senders {
		for i, to := range addresses(denied) {
			e.podAsker(t, p).sendTo(t, target(to, heardPort), target(addresses(neighbour)[i], heardPort))
		}
	}
	c := &chaos{observer: observe(t, e.Cluster)}
	if !c.seen.WaitForCacheSync(t.Context()) {
		t.Fatal("the watches tell nothing")
	}
	databases := victim{name: "databases", kill: (*chaos).deleteDatabases, component: "ovn-central", container: "nb"}
	for _, v := range append([]victim{databases}, victims...) {
		t.Run(v.name, func(t *testing.T) {
			restarts, before := c.restarts(t, v), allowed.Load()
			v.kill(c, t)
			if v.container != "" {
				c.awaitRestarts(t, v, restarts)
			}
			c.awaitComponents(t)
			c.changePolicies(t, e, namespace)
			c.within(t, recoveryLimit, "the neighbour hears them", func() string {
				if allowed.Load() < before+100 {
					return fmt.Sprintf("%d datagrams since", allowed.Load()-before)
				}
				return ""
			})
			if n := forbidden.Load(); n > 0 {
				t.Fatalf("%d datagrams have arrived", n)
			}
		})
	}
	t.Logf("%d datagrams to the neighbour, none to the Pod that is denied them", allowed.Load())
}

// changePolicies lets something else in to the denied Pod, and takes that back.
func (c *chaos) changePolicies(t *testing.T, e *env, namespace string) {
	t.Helper()
	for i := range 5 {
		policy := &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprint("other-", i)},
			Spec: networkingv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"denied": "yes"}},
				Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"nobody": "here"}}}}}},
			},
		}
		must(t, e.client.Create(t.Context(), policy))
		e.remove(t, policy)
	}
}

func (c *chaos) deleteDatabases(t *testing.T) {
	central := c.central(t)
	m, err := c.sandbox.Machine(central)
	must(t, err)
	for _, name := range []string{"ovnnb_db", "ovnsb_db"} {
		must(t, os.Remove(m.Path(databaseDir+"/"+name+".db")))
		must(t, c.sandbox.Kill(central, "ovsdb-server", name))
	}
}

// heardPort is where the Pods of this test listen.
const heardPort = 9999

// listenIn counts the datagrams that reach a Pod.
func (e *env) listenIn(t *testing.T, p *corev1.Pod) *atomic.Int64 {
	t.Helper()
	var conn net.PacketConn
	must(t, ns.WithNetNSPath(e.podAsker(t, p).netns, func(ns.NetNS) (err error) {
		conn, err = net.ListenPacket("udp", fmt.Sprint(":", heardPort))
		return err
	}))
	count, done := new(atomic.Int64), make(chan struct{})
	go func() {
		defer close(done)
		for {
			var buf [16]byte
			if _, _, err := conn.ReadFrom(buf[:]); err != nil {
				return
			}
			count.Add(1)
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return count
}

// sendTo sends to all targets until the test ends. What the kernel says of one is no matter.
func (a asker) sendTo(t *testing.T, targets ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	for _, target := range targets {
		conn, err := a.dial(ctx, "udp", target)
		must(t, err)
		running.Go(func() {
			defer conn.Close()
			tick := time.NewTicker(beat)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					_, _ = conn.Write([]byte("heard"))
				}
			}
		})
	}
}
