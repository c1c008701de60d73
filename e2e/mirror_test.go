package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-net/heddle/crds/heddle"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// sink is where copies come to, and a counter of them there.
type sink struct {
	e       *env
	name    string
	machine string
	daemon  string // Pod on the node, for a link of it
	netns   string // path, of a Pod's sink
	table   string
}

const sinkTable = "heddle_e2e_copies"

// count counts packets by rules in the ingress hook of a link.
func (e *env) count(t *testing.T, s sink, link string, match ...string) sink {
	t.Helper()
	s.e, s.table = e, sinkTable+"_"+s.name
	rules := "add table netdev " + s.table + "; add counter netdev " + s.table + " copies; " +
		"add chain netdev " + s.table + " in { type filter hook ingress device " + link + " priority 0; }"
	for _, m := range match {
		rules += "; add rule netdev " + s.table + " in " + m + " counter name copies"
	}
	s.nft(t, rules)
	t.Cleanup(func() { _, _ = s.run(context.WithoutCancel(t.Context()), "delete table netdev "+s.table) }) // gone with its link
	return s
}

// run is an nft command where the sink is. On a node it is the image's nft: an old one crashes when there are rules of Heddle's.
func (s sink) run(ctx context.Context, command string) (string, error) {
	switch {
	case s.daemon != "":
		return s.e.Kubectl(ctx, "", "-n", "kube-system", "exec", s.daemon, "-c", "daemon", "--", "nft", command)
	case s.netns != "":
		return s.e.Run(ctx, s.machine, "nsenter", "--net="+s.netns, "nft", command)
	}
	return s.e.Run(ctx, s.machine, "nft", command)
}

func (s sink) nft(t *testing.T, command string) string {
	t.Helper()
	said, err := s.run(t.Context(), command)
	must(t, err)
	return said
}

// packets are those that have come so far.
func (s sink) packets(t *testing.T) (n int) {
	t.Helper()
	said := s.nft(t, "list counter netdev "+s.table+" copies")
	_, rest, _ := strings.Cut(said, "packets ")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatalf("%v in %s", err, said)
	}
	return n
}

// Matches of packets in nft: the echoes of the tests, and tunnels. Bits of GRE's header: RFC 2890, section 2.
const (
	echoes      = "icmp type { echo-request, echo-reply }"
	echoes6     = "icmpv6 type { echo-request, echo-reply }"
	overGRE     = "ether type ip6 meta l4proto gre @th,16,16 0x6558 @th,32,32 7"
	overERSPAN  = "ether type ip meta l4proto gre @th,16,16 0x88be"
	pingsOfTest = 5
)

// ping asks each address five times.
func (e *env) ping(t *testing.T, from, to *corev1.Pod) {
	t.Helper()
	for _, addr := range addresses(to) {
		e.exec(t, from, "ping", "-n", "-q", "-c", fmt.Sprint(pingsOfTest), "-i", "0.2", "-W", "10", addr.String())
	}
}

// copied pings, and compares how many packets have come to each sink; the last one may come after the answer that it is of.
func (e *env) copied(t *testing.T, when string, from, to *corev1.Pod, want map[*sink]int) {
	t.Helper()
	before := map[*sink]int{}
	for s := range want {
		before[s] = s.packets(t)
	}
	e.ping(t, from, to)
	for s, n := range want {
		got := s.packets(t) - before[s]
		for began := time.Now(); got < n && time.Since(began) < timeLimit; {
			got = s.packets(t) - before[s]
		}
		if got != n {
			t.Fatalf("%s: %d packets at %s, want %d", when, got, s.name, n)
		}
	}
}

// until waits for a command's output on a machine.
func (e *env) until(t *testing.T, machine string, ok func(said string) bool, args ...string) {
	t.Helper()
	for began := time.Now(); ; {
		said, err := e.Run(t.Context(), machine, args...)
		if err == nil && ok(said) {
			return
		}
		if time.Since(began) > timeLimit {
			t.Fatalf("%s: after %v %q says %v\n%s", machine, timeLimit, strings.Join(args, " "), err, said)
		}
	}
}

// mirrored waits until a node copies, or does not.
func (e *env) mirrored(t *testing.T, node, mirror string, on bool) {
	t.Helper()
	e.until(t, node, func(said string) bool { return (strings.TrimSpace(said) != "") == on },
		"ovs-vsctl", "--bare", "--columns=select_src_port,select_dst_port", "find", "Mirror", "name="+mirror)
}

// nodeState is all of a node that a mirror could leave behind.
func (e *env) nodeState(t *testing.T, node string) string {
	t.Helper()
	var lines []string
	for _, args := range [][]string{
		{"ovs-vsctl", "--bare", "--columns=name", "list", "Interface"},
		{"ovs-vsctl", "list", "Mirror"},
		{"sh", "-c", "ip -o link | cut -d: -f2 | cut -d@ -f1"},
		{"tc", "qdisc", "show"},
	} {
		lines = append(lines, strings.Split(e.run(t, node, args...), "\n")...)
	}
	tables := e.kubectl(t, "-n", "kube-system", "exec", e.daemonOn(t, node), "-c", "daemon", "--", "nft", "list", "tables") // an old nft cannot
	lines = append(lines, strings.Split(tables, "\n")...)
	slices.Sort(lines)
	return podLink.ReplaceAllLiteralString(strings.Join(lines, "\n"), "hd…")
}

// podLink is the name of the node's end of a Pod's link: another one for each container.
var podLink = regexp.MustCompile(`\bhd[0-9a-f]{13}\b`)

// podSink is the link of a Pod for copies, once it is there.
func (e *env) podSink(t *testing.T, p *corev1.Pod) sink {
	t.Helper()
	e.until(t, p.Spec.NodeName, func(said string) bool { return strings.TrimSpace(said) != "" },
		"ovs-vsctl", "--bare", "--columns=ofport", "find", "Interface", "external_ids:mirror-id="+p.Namespace+"/"+p.Name)
	return sink{name: p.Name, machine: p.Spec.NodeName, netns: limited{p, e}.netns(t)}
}

// filtered waits until the node's OVS has the filter.
func (e *env) filtered(t *testing.T, node, mirror, filter string) {
	t.Helper()
	daemon := e.daemonOn(t, node) // an old ovs-vsctl does not know the column
	for began := time.Now(); ; {
		said, err := e.Kubectl(t.Context(), "", "-n", "kube-system", "exec", daemon, "-c", "daemon", "--", "ovs-vsctl", "--bare", "--columns=filter", "find", "Mirror", "name="+mirror)
		if err == nil && strings.TrimSpace(said) == filter {
			return
		}
		if time.Since(began) > timeLimit {
			t.Fatalf("%s: the filter of %s is %q (%v), want %q", node, mirror, said, err, filter)
		}
	}
}

func mirrorReady(m *heddle.TrafficMirror) string {
	for _, c := range m.Status.Conditions {
		if c.Type == v1.ConditionReady && c.ObservedGeneration == m.Generation && c.Status == corev1.ConditionTrue {
			return ""
		}
	}
	return fmt.Sprintf("not Ready: %v", m.Status.Conditions)
}

func trafficMirror(name string, direction heddle.Direction, app string, to heddle.TrafficSink) *heddle.TrafficMirror {
	return &heddle.TrafficMirror{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: heddle.TrafficMirrorSpec{
		PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}, Direction: direction, To: to,
	}}
}

// TestMirror counts copies of a Pod's packets at every kind of sink, several at once, in both families: none before, exactly those that are
// asked for, whatever restarts, and none after; and nothing is left of it. It runs alone: it compares all that a node has.
func TestMirror(t *testing.T) {
	e := use(t)
	ns := e.namespace(t, "mirror", map[string]string{"copied": "true"})
	e.subnet(t, "mirror", "10.154.0.0/24,fd00:10:154::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	nodes := e.Nodes()[:2]
	peer, far := pod(ns, "peer", nodes[1]), pod(ns, "far", nodes[1])
	fresh := func() (web, near *corev1.Pod) {
		web = withAddress(pod(ns, "web", nodes[0]), "10.154.0.20,fd00:10:154::20")
		web.Labels = map[string]string{"app": "web"}
		return web, pod(ns, "near", nodes[0])
	}
	web, near := fresh()
	e.start(t, web, peer, near, far)
	e.ping(t, web, peer) // its flows are there before the mirrors
	before := map[string]string{}
	for _, node := range nodes {
		before[node] = e.nodeState(t, node)
	}
	rows := e.nbctl(t, "list", "Mirror")

	// By the annotation, at the node; another Pod's never.
	e.annotate(t, "pod/web", ns, "mirror=true")
	e.mirrored(t, nodes[0], "mirror0/in", true)
	e.filtered(t, nodes[0], "mirror0/out", "recirc_id=0")
	link := e.count(t, sink{name: "mirror0", daemon: e.daemonOn(t, nodes[0])}, "mirror0", echoes, echoes6)
	e.copied(t, "by annotation", web, peer, map[*sink]int{&link: 20})
	e.copied(t, "by annotation, asked by the other", peer, web, map[*sink]int{&link: 20})
	e.copied(t, "by annotation, of another Pod", near, peer, map[*sink]int{&link: 0})
	link.nft(t, "delete table netdev "+link.table)
	e.annotate(t, "pod/web", ns, "mirror-")
	e.mirrored(t, nodes[0], "mirror0/in", false)
	e.until(t, nodes[0], func(said string) bool { return said == "" }, "sh", "-c", "ip -o link show mirror0 2>/dev/null || true")

	// By TrafficMirrors to every kind of sink, at the same time.
	host := e.addressesOf(t, "outside-1")
	v4, v6 := host[slices.IndexFunc(host, netip.Addr.Is4)], host[slices.IndexFunc(host, netip.Addr.Is6)]
	toNear, toFar := heddle.TrafficSink{Pod: &heddle.PodReference{Namespace: ns, Name: "near"}}, heddle.TrafficSink{Pod: &heddle.PodReference{Namespace: ns, Name: "far"}}
	mirrors := []*heddle.TrafficMirror{
		trafficMirror("e2e-link", heddle.Ingress, "web", heddle.TrafficSink{Interface: "mirror7"}),
		trafficMirror("e2e-gre", heddle.Both, "web", heddle.TrafficSink{GRE: &heddle.Collector{Address: v6.String(), ID: 7}}),
		trafficMirror("e2e-near", heddle.Both, "web", toNear),
		trafficMirror("e2e-far", heddle.Both, "web", toFar),
	}
	mirrors[0].Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"copied": "true"}}
	mirrors[1].Spec.Filter = &heddle.TrafficFilter{Family: heddle.IPv4, Protocol: heddle.ICMP}
	erspan := trafficMirror("e2e-erspan", heddle.Egress, "web", heddle.TrafficSink{ERSPAN: &heddle.Collector{Address: v4.String(), ID: 9}})
	erspan.Spec.Filter = &heddle.TrafficFilter{Family: heddle.IPv6, Protocol: heddle.ICMP, Source: addresses(web)[1].String(), Destination: addresses(peer)[1].String()}
	// ERSPAN by itself: see docs/mirror.md.
	e.create(t, erspan)
	await(t, e, erspan, mirrorReady)
	e.filtered(t, nodes[0], "tm-e2e-erspan/out", "recirc_id=0,icmp6,ipv6_src="+addresses(web)[1].String()+",ipv6_dst="+addresses(peer)[1].String())
	e.ping(t, web, peer) // the user-space datapath drops what goes to a tunnel whose neighbour it has to ask for
	collector := e.count(t, sink{name: "erspan", machine: "outside-1"}, "eth0", overERSPAN)
	e.copied(t, "by ERSPAN", web, peer, map[*sink]int{&collector: 5})
	e.remove(t, erspan)
	e.awaitGone(t, erspan)
	for _, m := range mirrors {
		e.create(t, m)
	}
	for _, m := range mirrors {
		await(t, e, m, mirrorReady)
	}
	copies := func(when string) {
		t.Helper()
		for mirror, filter := range map[string]string{
			"tm-e2e-link/in": "", "tm-e2e-gre/in": "icmp", "tm-e2e-gre/out": "recirc_id=0,icmp", "tm-e2e-near/in": "", "tm-e2e-near/out": "recirc_id=0",
			"tm-e2e-far/far/in": "", "tm-e2e-far/far/out": "recirc_id=0",
		} {
			e.mirrored(t, nodes[0], mirror, true)
			e.filtered(t, nodes[0], mirror, filter)
		}
		e.ping(t, web, peer)
		sinks := []sink{
			e.count(t, sink{name: "link", daemon: e.daemonOn(t, nodes[0])}, "mirror7", echoes, echoes6),
			e.count(t, sink{name: "gre", machine: "outside-1"}, "eth0", overGRE),
			e.count(t, e.podSink(t, near), "mirror0", echoes, echoes6),
			e.count(t, e.podSink(t, far), "mirror0", echoes, echoes6),
		}
		want := map[*sink]int{}
		for i, n := range []int{10, 10, 20, 20} {
			want[&sinks[i]] = n
		}
		e.copied(t, when, web, peer, want)
		for _, s := range sinks {
			s.nft(t, "delete table netdev "+s.table)
		}
	}
	copies("four at once")
	for _, program := range []string{"heddle-daemon", "ovs-vswitchd", "ovn-controller"} {
		must(t, e.Kill(nodes[0], program))
	}
	e.inForce(t)
	copies("after restarts")
	limited{web, e}.again(t)
	limited{near, e}.again(t)
	copies("with Pods that have started again")
	e.stop(t, web, near)
	web, near = fresh()
	e.start(t, web, near)
	copies("with new Pods")

	for _, m := range mirrors {
		e.remove(t, m)
		e.awaitGone(t, m)
	}
	for _, node := range nodes {
		for began := time.Now(); ; {
			after := e.nodeState(t, node)
			if after == before[node] {
				break
			}
			if time.Since(began) > timeLimit {
				t.Errorf("%s had and has (+)\n%s", node, cmp.Diff(before[node], after))
				break
			}
		}
	}
	if after := e.nbctl(t, "list", "Mirror"); after != rows {
		t.Errorf("OVN's mirrors were\n%s\nand are\n%s", rows, after)
	}
	if links := e.exec(t, far, "ls", "/sys/class/net"); strings.Contains(links, "mirror0") {
		t.Errorf("Pod far still has %s", links)
	}
}

// TestMirrorWrong: what stands in the way of a TrafficMirror is told on it, goes when that goes, and copies nothing meanwhile.
func TestMirrorWrong(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "mirror-wrong", nil)
	toPod := trafficMirror("e2e-wrong-pod", heddle.Both, "none", heddle.TrafficSink{Pod: &heddle.PodReference{Namespace: ns, Name: "sink"}})
	right := trafficMirror("e2e-right", heddle.Both, "none", heddle.TrafficSink{GRE: &heddle.Collector{Address: "192.0.2.77", ID: 7}})
	operator := trafficMirror("e2e-wrong-operator", heddle.Both, "none", heddle.TrafficSink{Interface: "mirror"})
	operator.Spec.PodSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Near"}}
	for _, m := range []*heddle.TrafficMirror{toPod, right, operator} {
		e.create(t, m)
	}
	await(t, e, right, mirrorReady)
	e.told(t, "TrafficMirror", toPod.Name, "SinkNotFound", "spec.to.pod: there is no Pod mirror-wrong/sink with a network of its own on a node; nothing is copied")
	e.told(t, "TrafficMirror", operator.Name, "Invalid", `spec.podSelector: unknown operator "Near"; nothing is copied`)
	e.start(t, pod(ns, "sink", e.Nodes()[0]))
	await(t, e, toPod, mirrorReady)
	if said, err := e.Kubectl(t.Context(), "", "get", "tm", right.Name, "--no-headers"); err != nil || !strings.Contains(said, "gre 192.0.2.77 id 7") {
		t.Errorf("%v: %s", err, said)
	}
}
