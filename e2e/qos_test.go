package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// limited is a Pod whose traffic is measured from its network namespace.
type limited struct {
	*corev1.Pod
	e *env
}

// netns is the path of its network namespace on its node, which is where OVS has it from.
func (p limited) netns(t *testing.T) string {
	t.Helper()
	id := "external_ids:iface-id=" + p.Name + "." + p.Namespace
	ids := p.e.run(t, p.Spec.NodeName, "ovs-vsctl", "--bare", "--columns=external_ids", "find", "Interface", id)
	for word := range strings.FieldsSeq(ids) {
		if path, ok := strings.CutPrefix(word, "pod_netns="); ok {
			return path
		}
	}
	t.Fatalf("no interface of Pod %s: %s", p.Name, ids)
	return ""
}

// in is a command in the Pod's network namespace.
func (p limited) in(t *testing.T, args ...string) []string {
	t.Helper()
	return append([]string{"nsenter", "--net=" + p.netns(t)}, args...)
}

// qdiscs are those of the Pod's two ends.
func (p limited) qdiscs(t *testing.T) string {
	t.Helper()
	host := p.e.run(t, p.Spec.NodeName, "ovs-vsctl", "--bare", "--columns=name", "find", "Interface", "external_ids:iface-id="+p.Name+"."+p.Namespace)
	return p.e.run(t, p.Spec.NodeName, "tc", "qdisc", "show", "dev", strings.TrimSpace(host)) +
		p.e.run(t, p.Spec.NodeName, p.in(t, "tc", "qdisc", "show", "dev", "eth0")...)
}

// again kills all processes of the Pod, that which holds its network namespace too, and returns when it runs in another one.
func (p limited) again(t *testing.T) {
	t.Helper()
	before, started := p.netns(t), p.Status.ContainerStatuses[0].RestartCount
	p.e.run(t, p.Spec.NodeName, "sh", "-c", "ip netns pids "+filepath.Base(before)+" | xargs kill -KILL")
	p.e.until(t, p.Spec.NodeName, func(said string) bool { return strings.Contains(said, "pod_netns=") && !strings.Contains(said, before) },
		"ovs-vsctl", "--bare", "--columns=external_ids", "find", "Interface", "external_ids:iface-id="+p.Name+"."+p.Namespace)
	await(t, p.e, p.Pod, func(now *corev1.Pod) string {
		if now.Status.ContainerStatuses[0].RestartCount == started {
			return "has not started again"
		}
		return podReady(now)
	})
}

// report is what iperf3 says at the end.
type report struct {
	Error string
	End   struct {
		Received struct {
			Rate float64 `json:"bits_per_second"`
		} `json:"sum_received"`
	}
}

// rate measures how many Mbit/s of one protocol reach another Pod's address: payload, as iperf3 counts. For UDP, offered are sent.
func (p limited) rate(t *testing.T, to limited, address, protocol string, offered float64) float64 {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	m, err := p.e.Machine(to.Spec.NodeName)
	must(t, err)
	server := m.Command(ctx, to.in(t, "iperf3", "--server", "--one-off", "--forceflush")...)
	out, err := server.StdoutPipe()
	must(t, err)
	must(t, server.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "listening") {
	}
	args := []string{"iperf3", "--client", address, "--time", "4", "--json", "--connect-timeout", "10000"}
	if protocol == "udp" {
		args = append(args, "--udp", "--length", "1200", "--bitrate", fmt.Sprintf("%.0fM", offered))
	}
	said, err := p.e.Run(ctx, p.Spec.NodeName, p.in(t, args...)...)
	stop()
	for lines.Scan() {
	}
	_ = server.Wait() // it is killed
	var r report
	must(t, errors.Join(err, json.Unmarshal([]byte(said), &r)))
	if r.Error != "" {
		t.Fatal(r.Error)
	}
	return r.End.Received.Rate / 1e6
}

// annotate sets annotations of an object; those without a value go.
func (e *env) annotate(t *testing.T, what string, namespace string, annotations ...string) {
	t.Helper()
	args := []string{"annotate", "--overwrite", "--namespace=" + namespace, what}
	for _, a := range annotations {
		args = append(args, v1.AnnotationPrefix+a)
	}
	e.kubectl(t, args...)
}

// shaped waits until the Pod's two ends are shaped like this: to it and from it.
func (p limited) shaped(t *testing.T, in, out string) {
	t.Helper()
	want := regexp.MustCompile(`^qdisc ` + in + `\b.*\nqdisc ` + out + `\b.*\n$`)
	for began := time.Now(); ; {
		have := p.qdiscs(t)
		if want.MatchString(have) {
			return
		}
		if time.Since(began) > timeLimit {
			t.Fatalf("Pod %s: after %v its qdiscs are\n%s, want %s and %s", p.Name, timeLimit, have, in, out)
		}
	}
}

// What iperf3 counts is less than what the annotations do, by the headers of Ethernet, IP and UDP or TCP: 42 to 86 bytes of 1,242 to 1,414.
const payload = 0.95

// TestQoS measures limits of both directions, for TCP and UDP, in both families, on a Pod that runs, between nodes; a Pod beside it and
// the other direction stay as they are; whatever restarts, they hold; and nothing is left in the end. It runs alone: it measures.
func TestQoS(t *testing.T) {
	e := use(t)
	ns := e.namespace(t, "qos", nil)
	e.subnet(t, "qos", "10.152.0.0/24,fd00:10:152::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	nodes := e.Nodes()[:2]
	before := e.qdiscsOf(t, nodes[0])
	slow, beside, peer := limited{pod(ns, "slow", nodes[0]), e}, limited{pod(ns, "beside", nodes[0]), e}, limited{pod(ns, "peer", nodes[1]), e}
	slow.Annotations[v1.AnnotationPrefix+"ingress_rate"] = "4"
	e.start(t, slow.Pod, beside.Pod, peer.Pod)
	slow.shaped(t, "tbf .* rate 4Mbit", "noqueue")

	within10 := func(what string, got, want float64) {
		t.Helper()
		t.Logf("%s: %.2f Mbit/s of %v", what, got, want)
		if got < want*payload*0.9 || got > want*1.1 {
			t.Errorf("%s: %.2f Mbit/s, want %v", what, got, want)
		}
	}
	measure := func(what string, in, out float64) {
		t.Helper()
		for _, protocol := range []string{"tcp", "udp"} {
			for i, family := range []string{"IPv4", "IPv6"} {
				what := what + ", " + protocol + " " + family
				if in > 0 {
					within10(what+", to the Pod", peer.rate(t, slow, addresses(slow.Pod)[i].String(), protocol, 2*in), in)
				}
				if out > 0 {
					within10(what+", from the Pod", slow.rate(t, peer, addresses(peer.Pod)[i].String(), protocol, 2*out), out)
				}
			}
		}
	}
	atLeast := func(what string, got, want float64) {
		t.Helper()
		t.Logf("%s: %.2f Mbit/s", what, got)
		if got < want {
			t.Errorf("%s: %.2f Mbit/s, want more than %v", what, got, want)
		}
	}
	measure("from its first packet on", 4, 0)
	atLeast("from the Pod, without a limit", slow.rate(t, peer, addresses(peer.Pod)[0].String(), "udp", 12), 6)

	e.annotate(t, "pod/slow", ns, "ingress_rate-", "egress_rate=3")
	slow.shaped(t, "noqueue", "tbf .* rate 3Mbit")
	measure("changed while it runs", 0, 3)
	atLeast("to the Pod, without a limit", peer.rate(t, slow, addresses(slow.Pod)[0].String(), "udp", 12), 6)
	atLeast("to the Pod beside", peer.rate(t, beside, addresses(beside.Pod)[0].String(), "udp", 12), 6)
	atLeast("from the Pod beside", beside.rate(t, peer, addresses(peer.Pod)[0].String(), "udp", 12), 6)

	// Defaults: of the Namespace, and of the Subnet where that has none.
	e.annotate(t, "pod/slow", ns, "egress_rate-")
	e.annotate(t, "namespace/"+ns, "", "egress_rate=6")
	e.annotate(t, "subnet/qos", "", "egress_rate=2", "ingress_rate=10", "egress_burst=1")
	slow.shaped(t, "tbf .* rate 10Mbit", "tbf .* rate 6Mbit burst 12(5000|4999)b")
	for _, program := range []string{"heddle-daemon", "ovs-vswitchd"} {
		must(t, e.Kill(nodes[0], program))
	}
	e.inForce(t)
	e.annotate(t, "pod/slow", ns, "ingress_rate=5") // whoever restarted is at work again
	slow.shaped(t, "tbf .* rate 5Mbit", "tbf .* rate 6Mbit burst 12(5000|4999)b")
	beside.shaped(t, "tbf .* rate 10Mbit", "tbf .* rate 6Mbit burst 12(5000|4999)b")
	slow.again(t)
	slow.shaped(t, "tbf .* rate 5Mbit", "tbf .* rate 6Mbit burst 12(5000|4999)b")
	within10("after restarts, to the Pod", peer.rate(t, slow, addresses(slow.Pod)[0].String(), "tcp", 0), 5)

	e.annotate(t, "pod/slow", ns, "ingress_rate-")
	e.annotate(t, "namespace/"+ns, "", "egress_rate-")
	e.annotate(t, "subnet/qos", "", "egress_rate-", "ingress_rate-", "egress_burst-")
	slow.shaped(t, "noqueue", "noqueue")
	e.annotate(t, "pod/slow", ns, "ingress_rate=5", "egress_rate=5")
	slow.shaped(t, "tbf", "tbf")
	e.stop(t, slow.Pod, beside.Pod)
	if after := e.qdiscsOf(t, nodes[0]); after != before {
		t.Errorf("the node's qdiscs were\n%s\nand are\n%s", before, after)
	}
}

// qdiscsOf are all of a node, and the QoS rows of its OVS: one, that all Pods share.
func (e *env) qdiscsOf(t *testing.T, node string) string {
	t.Helper()
	lines := strings.Split(e.run(t, node, "tc", "qdisc", "show"), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n") + e.run(t, node, "ovs-vsctl", "--columns=_uuid,type,queues", "list", "QoS") + e.run(t, node, "ovs-vsctl", "list", "Queue")
}

// TestQoSWrong: what cannot be read, or be done by the node's kernel, is told on the object, and the Pod runs.
func TestQoSWrong(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "qos-wrong", nil)
	e.subnet(t, "qos-wrong", "10.153.0.0/24", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	p := limited{pod(ns, "wrong", e.Nodes()[0]), e}
	p.Annotations[v1.AnnotationPrefix+"ingress_rate"], p.Annotations[v1.AnnotationPrefix+"egress_rate"] = "10M", "3"
	e.start(t, p.Pod)
	p.shaped(t, "noqueue", "tbf .* rate 3Mbit")
	const text = `without effect: annotation ovn.kubernetes.io/`
	e.told(t, "Pod", "wrong", "InvalidQoS", text+`ingress_rate: "10M" is not a number of Mbit/s, such as 10`)
	e.annotate(t, "namespace/"+ns, "", "loss=101")
	e.told(t, "Namespace", ns, "InvalidQoS", text+`loss: "101" is more than 100 percent`)
	e.annotate(t, "subnet/qos-wrong", "", "limit=1.5")
	e.told(t, "Subnet", "qos-wrong", "InvalidQoS", text+`limit: "1.5" is not a whole number of packets`)
	if _, err := e.Run(t.Context(), e.Nodes()[0], "tc", "qdisc", "add", "dev", "lo", "root", "netem", "limit", "1000"); err != nil {
		e.annotate(t, "pod/wrong", ns, "latency=20")
		e.told(t, "Pod", "wrong", "TrafficNotShaped", "set the netem of eth0: this node's kernel has none (module sch_netem)")
	} else {
		e.run(t, e.Nodes()[0], "tc", "qdisc", "del", "dev", "lo", "root")
	}
}

// told waits for an Event about an object.
func (e *env) told(t *testing.T, kind, name, reason, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	w, err := e.client.Watch(ctx, &corev1.EventList{}) // begins with those that there are
	must(t, err)
	defer w.Stop()
	var seen []string
	for change := range w.ResultChan() {
		event, ok := change.Object.(*corev1.Event)
		if !ok || event.InvolvedObject.Kind != kind || event.InvolvedObject.Name != name {
			continue
		}
		if event.Reason == reason && event.Message == text {
			return
		}
		seen = append(seen, event.Reason+": "+event.Message)
	}
	t.Errorf("no Event %s about %s %s: %s\n%s", reason, kind, name, text, strings.Join(seen, "\n"))
}
