package compile_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/controller/verdict"
	"github.com/heddle-net/heddle/ovs/ovstest"
	machine "github.com/heddle-net/heddle/ovs/ovstest/node"
)

// The comparison of what OVN does with what the API says: random clusters go the whole way to ovn-northd, and ovn-trace is asked
// about as many packets as controller/verdict. What ovn-trace cannot show is said at network.

// perCluster is how many packets are compared in each cluster. Every so many clusters the next one is a new one, in place of a change.
const (
	perCluster = 300
	changes    = 5
)

// seed is always the same, so that a run tells something of the change that it is for. HEDDLE_SEED is another one, or "new" for one
// that nobody has tried: what that finds is printed as a case, with its number.
func seed(t *testing.T) uint64 {
	t.Helper()
	switch text := os.Getenv("HEDDLE_SEED"); text {
	case "":
		return 1
	case "new":
		return rand.Uint64()
	default:
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return seed
	}
}

// TestPoliciesAgainstTheAPI compares random clusters until enough packets were asked. The first disagreement is made small and
// printed as a case, to be kept in testdata/oracle.
func TestPoliciesAgainstTheAPI(t *testing.T) {
	t.Run("NetworkPolicy", func(t *testing.T) { newOracle(t, newNetwork(t), networkPolicies).run(t, 10000) })
	for _, k := range []struct {
		name string
		oracleKinds
		packets int
	}{{"all kinds", allPolicies, 6000}, {"SecurityGroups beside all kinds", besides, 20000}, {"tiers of SecurityGroups", tiers, 6000}} {
		t.Run(k.name, func(t *testing.T) {
			machine.UsePrograms(t, "../../dist/root")
			newOracle(t, newNetwork(t), k.oracleKinds).run(t, k.packets)
		})
	}
}

// TestKeptCases compares every packet of the cases that were found once.
func TestKeptCases(t *testing.T) {
	for _, kinds := range []struct {
		name     string
		programs string
		oracleKinds
	}{{"NetworkPolicy", "", networkPolicies}, {"all kinds", "../../dist/root", besides}} {
		t.Run(kinds.name, func(t *testing.T) {
			if kinds.programs != "" {
				machine.UsePrograms(t, kinds.programs)
			}
			newOracle(t, newNetwork(t), kinds.oracleKinds).replay(t)
		})
	}
}

// replay compares the cases without policies that are not enforced.
func (o *oracle) replay(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob("testdata/oracle/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := verdict.Parse(string(archive.Files[0].Data))
		if err != nil {
			t.Fatal(err)
		}
		if o.compared.AdminNetworkPolicies == 0 &&
			len(c.AdminNetworkPolicies)+len(c.BaselineAdminNetworkPolicies)+len(c.ClusterNetworkPolicies)+len(c.SecurityGroups)+len(c.Subnets) > 0 {
			continue
		}
		o.restart(c)
		for _, p := range packetsOf(c) {
			if p.From == p.To {
				continue
			}
			if d := o.compare(c, question{p, p.Port == 80}); d != "" {
				t.Errorf("%s: %s", file, d)
			}
		}
	}
	t.Log(o)
}

func (o *oracle) run(t *testing.T, count int) {
	t.Helper()
	if testing.Short() {
		count /= 10
	}
	first := seed(t)
	for seed := first; o.questions < count; seed++ {
		r := rand.New(rand.NewPCG(seed, 0))
		var before *verdict.Cluster
		for c := verdict.Generate(r, o.compared); o.clusters < int(1+seed-first)*changes; c = verdict.Change(r, o.compared, c) {
			packets := questionsOf(r, c)
			if o.now == nil || before == nil && seed%2 == 0 {
				o.restart(c)
			} else {
				o.follow(r, c)
			}
			for _, p := range packets {
				if d := o.compare(c, p); d != "" {
					t.Logf("HEDDLE_SEED=%d: %s\n%s", seed, d, o)
					t.Fatal(o.smallest(before, c, p))
				}
			}
			before = c
		}
	}
	t.Logf("HEDDLE_SEED=%d: %s", first, o)
}

// oracle asks both.
type oracle struct {
	*network
	oracleKinds
	store *state.Store     // what the events have come to
	now   *verdict.Cluster // that NB is of

	hosts map[string]host         // by their ports
	vips  map[string][]netip.Addr // of a Service for each Pod, by the Pod's port

	questions, clusters int
	answers             map[string]int
	changing, asking    time.Duration
}

func newOracle(t testing.TB, n *network, kinds oracleKinds) *oracle {
	t.Helper()
	return &oracle{network: n, oracleKinds: kinds, answers: make(map[string]int)}
}

func (o *oracle) String() string {
	return fmt.Sprintf("%d verdicts of %d clusters: %v; %v a cluster, %v a question",
		o.questions, o.clusters, o.answers, o.changing/time.Duration(o.clusters), o.asking/time.Duration(o.questions))
}

// question is a packet, and how it is sent.
type question struct {
	verdict.Packet
	service bool // to the Pod by a Service of its own
}

func (q question) String() string {
	if q.service {
		return q.Packet.String() + " by its Service"
	}
	return q.Packet.String()
}

// compare says in what OVN and the API disagree about a packet, "" when they do not.
func (o *oracle) compare(c *verdict.Cluster, q question) string {
	o.t.Helper()
	want, reason := c.Allowed(q.Packet)
	if strings.Contains(reason.Ends, "not in the") || !o.placed(q.From) || !o.placed(q.To) {
		return "" // there is nowhere to send it from or to
	}
	start := time.Now()
	got, trace := o.passes(c, q)
	o.asking += time.Since(start)
	o.questions++
	o.answers[classOf(reason)]++
	if got == want {
		return ""
	}
	return fmt.Sprintf("%s: OVN says %t, the API %t: %s\n%s", q, got, want, reason, trace.Text)
}

// placed tells whether a Pod has a port: a smaller cluster may lack its node.
func (o *oracle) placed(p verdict.Peer) bool {
	_, ok := o.hosts[portOf(p.Pod)]
	return ok || p.Pod == ""
}

// classOf says who has decided: at each end a policy that allows or one that does not, or nobody.
func classOf(r verdict.Reason) string {
	if r.Ends != "" {
		return r.Ends
	}
	word := func(d verdict.Decision) string {
		switch {
		case d.Policy == "":
			return "free"
		case d.Allowed:
			return "allowed"
		}
		return "denied"
	}
	return fmt.Sprintf("%s/%s", word(r.Egress), word(r.Ingress))
}

// passes asks OVN whether a packet arrives where it should.
func (o *oracle) passes(c *verdict.Cluster, q question) (bool, ovstest.Trace) {
	o.t.Helper()
	from, src := o.sender(q)
	dst, port := o.receiver(c, q, from)
	neighbour, number := o.hosts[port].mac, q.Port
	if vips := o.vips[port]; q.service && len(vips) > 0 {
		vip, _ := host{addrs: vips}.addr(dst)
		dst, neighbour, number = vip, "", q.Port+viaService
	}
	trace := o.sendFrom(from, src, dst, neighbour, protocolOf(q, number))
	if len(trace.Out) > 0 && !slices.Equal(trace.Out, []string{port}) {
		o.t.Fatalf("%s came out of %v instead of %s\n%s", q, trace.Out, port, trace.Text)
	}
	return len(trace.Out) > 0, trace
}

// sender is where a packet starts, and with which address: a node's own processes send from its address on the join Subnet. What is
// outside comes by some node, always the same.
func (o *oracle) sender(q question) (host, netip.Addr) {
	o.t.Helper()
	like := exampleOf(q.Family)
	if q.From.Pod != "" {
		h := o.hosts[portOf(q.From.Pod)]
		src, _ := h.addr(like)
		return h, src
	}
	if q.From.Node != "" {
		return o.hosts[state.NodePort(q.From.Node)], q.From.Addr
	}
	last := q.From.Addr.As16()[15]
	return o.hosts[o.world.nodes[int(last)%len(o.world.nodes)].port()], q.From.Addr
}

// receiver is the address that a packet goes to, and the port that it comes out of: what is outside leaves by the sender's node.
func (o *oracle) receiver(c *verdict.Cluster, q question, from host) (netip.Addr, string) {
	o.t.Helper()
	switch {
	case q.To.Pod != "":
		port := portOf(q.To.Pod)
		dst, _ := o.hosts[port].addr(exampleOf(q.Family))
		return dst, port
	case q.To.Node == "":
		return q.To.Addr, o.world.nodes[from.node].port()
	case q.To.Addr.IsValid():
		return q.To.Addr, state.NodePort(q.To.Node)
	}
	i := slices.IndexFunc(c.Nodes, func(n *corev1.Node) bool { return n.Name == q.To.Node })
	dst, ok := host{addrs: feed.Node(c.Nodes[i]).InternalIPs}.addr(exampleOf(q.Family))
	if !ok {
		o.t.Fatalf("%s has no address", q.To)
	}
	return dst, state.NodePort(q.To.Node)
}

func portOf(pod string) string {
	namespace, name, _ := strings.Cut(pod, "/")
	return state.PodPort(namespace, name)
}

func exampleOf(family corev1.IPFamily) netip.Addr {
	if family == corev1.IPv4Protocol {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// protocolOf says it in words of OVN; of ICMP it is the request for an echo.
func protocolOf(q question, port int32) string {
	switch {
	case q.Protocol != verdict.ICMP:
		return fmt.Sprintf("%s.dst == %d && %[1]s.src == %[3]d", strings.ToLower(string(q.Protocol)), port, verdict.SourcePort)
	case q.Family == corev1.IPv4Protocol:
		return "icmp4.type == 8"
	}
	return "icmp6.type == 128"
}
