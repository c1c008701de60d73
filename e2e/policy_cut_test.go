package e2e

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// quietTime is how long nobody has heard anything once a connection counts as cut: longer than TCP waits before it sends again what was
// dropped, at first.
const quietTime = 3 * time.Second

// TestPolicyCuts forbids conversations that go on all the time, by TCP and UDP, from the server's own node's network of Pods and from
// another node's, in each family: they end, stay ended, and go on when the policy has gone. Not in parallel: it measures.
func TestPolicyCuts(t *testing.T) {
	e := use(t)
	namespace := e.namespace(t, "policy-cuts", nil)
	e.subnet(t, namespace, "10.149.0.0/24,fd00:10:149::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{namespace} })
	nodes := e.Nodes()[:2]
	server := pod(namespace, "server", nodes[0])
	server.Labels = map[string]string{"denied": "yes"}
	clients := []*corev1.Pod{pod(namespace, "near", nodes[0]), pod(namespace, "far", nodes[1])}
	e.start(t, server, clients[0], clients[1])
	var talks []*talk
	for _, p := range clients {
		for _, to := range addresses(server) {
			for _, protocol := range []string{"tcp", "udp"} {
				talks = append(talks, e.podAsker(t, p).talk(t, protocol, target(to, podPort)))
			}
		}
	}
	heardSince(t, talks, time.Now())
	deny := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "deny"},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{MatchLabels: server.Labels}},
	}
	began := time.Now()
	e.create(t, deny)
	for _, c := range talks {
		c.awaitQuiet(t)
		t.Logf("%s: the last answer %v after the policy", c.name, time.Unix(0, c.heard.Load()).Sub(began).Round(time.Millisecond))
	}
	e.remove(t, deny)
	heardSince(t, talks, time.Now())
}

// talk is a question that is asked again as soon as it is answered (by UDP every millisecond), over one socket.
type talk struct {
	name  string
	heard atomic.Int64 // when the last answer came, in Unix nanoseconds
	news  chan struct{}
}

func (a asker) talk(t *testing.T, protocol, target string) *talk {
	t.Helper()
	conn, err := a.dial(t.Context(), protocol, target)
	must(t, err)
	c := &talk{name: a.name + " to " + target + " by " + protocol, news: make(chan struct{}, 1)}
	ask := c.overTCP
	if protocol == "udp" {
		ask = c.overUDP
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ask(conn)
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
	})
	return c
}

func (c *talk) overTCP(conn net.Conn) {
	for {
		if _, err := overTCP(conn, "hostname"); err != nil {
			return
		}
		c.answered()
	}
}

func (c *talk) overUDP(conn net.Conn) {
	ended := make(chan struct{})
	defer func() { <-ended }()
	go func() {
		defer close(ended)
		var answer [64]byte
		for {
			if _, err := conn.Read(answer[:]); err != nil {
				return
			}
			c.answered()
		}
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := conn.Write([]byte("hostname")); err != nil {
			return
		}
	}
}

func (c *talk) answered() {
	c.heard.Store(time.Now().UnixNano())
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// awaitQuiet returns when no answer has come for some time.
func (c *talk) awaitQuiet(t *testing.T) {
	t.Helper()
	limit := time.After(recoveryLimit)
	for {
		quiet := time.NewTimer(time.Until(time.Unix(0, c.heard.Load()).Add(quietTime)))
		select {
		case <-c.news:
			quiet.Stop()
		case <-quiet.C:
			return
		case <-limit:
			t.Fatalf("%s: still answered", c.name)
		}
	}
}

// heardSince waits until all are answered again.
func heardSince(t *testing.T, talks []*talk, since time.Time) {
	t.Helper()
	limit := time.After(recoveryLimit)
	for _, c := range talks {
		for c.heard.Load() < since.UnixNano() {
			select {
			case <-c.news:
			case <-limit:
				t.Fatalf("%s: not answered", c.name)
			}
		}
	}
}
