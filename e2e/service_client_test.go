package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// tries is how often each case is asked, every time by a new connection. Of three endpoints one is then never chosen
// once in 10⁸ runs.
const tries = 50

// connectLimit is for one connection: Linux sends its first packet again after 1, 3 and 7 s.
const connectLimit = 12 * time.Second

// asker is one who opens connections: a Pod or a node, with the sockets of its own kernel.
type asker struct {
	name    string
	netns   string
	sources []netip.Addr // what servers see
	self    string       // what it answers itself, when it is a server too
}

func (e *env) podAsker(t *testing.T, p *corev1.Pod) asker {
	t.Helper()
	path, err := (&observer{sandbox: e.Cluster}).netnsOf(p)
	must(t, err)
	return asker{name: "Pod " + p.Name, netns: path, sources: addresses(p), self: p.Name}
}

// nodeAsker is a node, which servers see by its address on the join Subnet.
func (e *env) nodeAsker(t *testing.T, node string) asker {
	t.Helper()
	m, err := e.Machine(node)
	must(t, err)
	var obj corev1.Node
	must(t, e.client.Get(t.Context(), client.ObjectKey{Name: node}, &obj))
	a := asker{name: "node " + node, netns: m.NetNS()}
	for text := range strings.SplitSeq(obj.Annotations[v1.AnnotationIPAddress], ",") {
		a.sources = append(a.sources, netip.MustParseAddr(text))
	}
	return a
}

func (a asker) dial(ctx context.Context, network, target string) (conn net.Conn, err error) {
	err = ns.WithNetNSPath(a.netns, func(ns.NetNS) (err error) {
		conn, err = (&net.Dialer{Timeout: connectLimit}).DialContext(ctx, network, target)
		return err
	})
	return conn, err
}

// heard is an answer: who gave it, and whom he saw.
type heard struct {
	who    string
	source netip.Addr
}

func (h heard) String() string { return fmt.Sprintf("%s seeing %s", h.who, h.source) }

// ask opens a connection and asks both questions over it.
func (a asker) ask(ctx context.Context, protocol, target string) (h heard, err error) {
	conn, err := a.dial(ctx, protocol, target)
	if err != nil {
		return h, err
	}
	defer conn.Close()
	exchange := overTCP
	if protocol == "udp" {
		exchange = overUDP
	}
	if h.who, err = exchange(conn, "hostname"); err != nil {
		return h, err
	}
	seen, err := exchange(conn, "clientip")
	if err != nil {
		return h, err
	}
	from, err := netip.ParseAddrPort(seen)
	h.source = from.Addr().Unmap()
	return h, err
}

// overTCP asks by HTTP and keeps the connection.
func overTCP(conn net.Conn, question string) (string, error) {
	if err := conn.SetDeadline(time.Now().Add(connectLimit)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: service\r\n\r\n", question); err != nil {
		return "", err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status)
	}
	return string(said), err
}

// overUDP asks again when there is no answer for a second: a datagram may be lost. Answers that were only late are taken in too, or
// they would pass for those to the next question.
func overUDP(conn net.Conn, question string) (string, error) {
	for again := 0; ; again++ {
		if _, err := conn.Write([]byte(question)); err != nil {
			return "", err
		}
		answer, err := readDatagram(conn)
		if err == nil {
			for range again {
				_, _ = readDatagram(conn) // or it was lost
			}
		}
		if err == nil || !timedOut(err) || again == 4 {
			return answer, err
		}
	}
}

// readDatagram waits for a second.
func readDatagram(conn net.Conn) (string, error) {
	var buf [1500]byte
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	n, err := conn.Read(buf[:])
	return string(buf[:n]), err
}

// timedOut tells that nobody answered.
func timedOut(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// tally counts the answers of one case.
type tally struct {
	asker
	target   string
	answers  map[heard]int
	failures []string
}

func (a asker) askOften(ctx context.Context, protocol, target string) tally {
	c := tally{asker: a, target: target, answers: map[heard]int{}}
	for n := range tries {
		h, err := a.ask(ctx, protocol, target)
		if err != nil {
			c.failures = append(c.failures, fmt.Sprintf("number %d: %v", n+1, err))
			if len(c.failures) == 3 { // what does not work at all would take its time
				return c
			}
			continue
		}
		c.answers[h]++
	}
	return c
}

// wrong is empty when all tries were answered, every endpoint has answered at least once and nobody else, and each saw the one who
// asks. Who asks himself sees the Service, by whose address OVN makes the answer come back.
func (c tally) wrong(endpoints ...string) string {
	vip := netip.MustParseAddrPort(c.target).Addr()
	who := map[string]bool{}
	strange := 0
	for h := range c.answers {
		who[h.who] = true
		if h.who == c.self && h.source == vip || h.who != c.self && slices.Contains(c.sources, h.source) {
			continue
		}
		strange++
	}
	if len(c.failures) == 0 && strange == 0 && slices.Equal(slices.Sorted(maps.Keys(who)), slices.Sorted(slices.Values(endpoints))) {
		return ""
	}
	return fmt.Sprintf("%s asks %s %d times and hears %v, want all of %v, seen as %v; failures %q",
		c.name, c.target, tries, c.answers, endpoints, c.sources, c.failures)
}
