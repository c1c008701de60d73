package engine

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// scale is the size of a cluster: Subnet i serves the Namespaces i, i+Subnets, i+2*Subnets and so on.
type scale struct{ Pods, Namespaces, Subnets, Nodes int }

// fullScale is what the benchmarks stand for. HEDDLE_BENCH_SCALE=0.1 makes it smaller, for a quick look.
func fullScale(tb testing.TB) scale {
	s := scale{Pods: 50_000, Namespaces: 1_000, Subnets: 100, Nodes: 500}
	text := os.Getenv("HEDDLE_BENCH_SCALE")
	if text == "" {
		return s
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		tb.Fatalf("HEDDLE_BENCH_SCALE: %v", err)
	}
	part := func(n int) int { return max(1, int(float64(n)*f)) }
	return scale{part(s.Pods), part(s.Namespaces), part(s.Subnets), part(s.Nodes)}
}

// fill puts a whole cluster into a store.
func (s scale) fill(store *state.Store) {
	store.Vpcs.Put("ovn-cluster", &state.Vpc{Name: "ovn-cluster"})
	store.Subnets.Put("join", &state.Subnet{
		Name: "join", Vpc: "ovn-cluster", Provider: "ovn", CIDRs: []netip.Prefix{netip.MustParsePrefix("100.64.0.0/16")},
		Gateways: []netip.Addr{netip.MustParseAddr("100.64.0.1")},
	})
	for i := range s.Subnets {
		s.putSubnet(store, i, "ovn")
	}
	for i := range s.Nodes {
		s.putNode(store, i)
	}
	for i := range s.Namespaces {
		store.Namespaces.Put(namespaceName(i), &state.Namespace{Name: namespaceName(i), Labels: state.LabelsOf(map[string]string{
			"kubernetes.io/metadata.name": namespaceName(i), "team": strconv.Itoa(i % teams),
		})})
	}
	for i := range s.Pods {
		s.putPod(store, i)
	}
}

// teams is the number of teams that Namespaces belong to.
const teams = 100

func namespaceName(i int) string { return fmt.Sprintf("namespace-%d", i) }

// putAskers adds, for each Namespace, an owner that asks for three groups: the Pods of the Namespace, those of its team, and
// those with a label in the whole cluster. Each Pod is in three.
func (s scale) putAskers(store *state.Store) {
	for i := range s.Namespaces {
		putAsker(
			i, state.Selector{Namespace: namespaceName(i)}, state.Selector{Namespaces: in("team", strconv.Itoa(i%teams))},
			state.Selector{Pods: in("app", fmt.Sprintf("web-%d", i))},
		).apply(store)
	}
}

func (s scale) putSubnet(store *state.Store, i int, provider string) {
	cidr := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, firstSubnet + byte(i), 0, 0}), 16)
	name := subnetName(i)
	store.Subnets.Put(name, &state.Subnet{
		Name: name, Vpc: "ovn-cluster", Provider: provider, CIDRs: []netip.Prefix{cidr},
		Gateways: []netip.Addr{cidr.Addr().Next()}, Created: time.Unix(int64(i), 0), Accepted: true,
	})
}

// firstSubnet is the second byte of Subnet 0, behind the Service range 10.96.0.0/12.
const firstSubnet = 112

func subnetName(i int) string { return fmt.Sprintf("subnet-%d", i) }

func (s scale) putNode(store *state.Store, i int) {
	name := fmt.Sprintf("node-%d", i)
	store.Nodes.Put(name, &state.Node{Name: name, InternalIPs: []netip.Addr{netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)})}})
	putAddress(store, state.NodePort(name), "join", netip.AddrFrom4([4]byte{100, 64, byte((i + 2) >> 8), byte(i + 2)}))
}

// putPod adds what the address reconciler and the feed add for a Pod: its IP object, and itself.
func (s scale) putPod(store *state.Store, i int) {
	pod := s.pod(i)
	subnet := i % s.Namespaces % s.Subnets
	host := i/s.Subnets + 2
	putAddress(store, pod.Port(), subnetName(subnet), netip.AddrFrom4([4]byte{10, firstSubnet + byte(subnet), byte(host >> 8), byte(host)}))
	store.Pods.Put(pod.Key(), pod)
}

func (s scale) pod(i int) *state.Pod {
	return &state.Pod{
		Namespace: namespaceName(i % s.Namespaces), Name: fmt.Sprintf("web-6d4b75cb6d-%05d", i),
		UID: fmt.Sprintf("0a1b2c3d-4e5f-6071-8293-%012d", i), Node: fmt.Sprintf("node-%d", i%s.Nodes),
		Labels: state.LabelsOf(map[string]string{"app": fmt.Sprintf("web-%d", i/10%s.Namespaces), "pod-template-hash": "6d4b75cb6d", "tier": "web"}),
	}
}

func (s scale) deletePod(store *state.Store, i int) {
	pod := s.pod(i)
	store.Pods.Delete(pod.Key())
	store.IPs.Delete(pod.Port())
}

func putAddress(store *state.Store, port, subnet string, addr netip.Addr) {
	b := addr.As4()
	store.IPs.Put(port, &state.IP{
		Name: port, Subnet: subnet, MAC: fmt.Sprintf("0a:58:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3]), IPs: []netip.Addr{addr},
	})
}

// quiet is a Sink that keeps nothing but the number of owners that are blocked.
type quiet struct{ blocked int }

func (q *quiet) Done(results []Result) {
	for _, r := range results {
		if r.Blocked != nil {
			q.blocked++
		}
	}
}
func (q *quiet) Synced(bool)          {}
func (q *quiet) Held(Held) []nb.Owner { return nil }

// openSession is what Engine.connect does before the loop: the time until it returns is that of a restart until the database
// is known.
func openSession(tb testing.TB, server *ovstest.Server, store *state.Store) *session {
	tb.Helper()
	conn, err := nb.Dial(tb.Context(), nb.Config{Endpoints: []string{server.Endpoint}, Timeout: time.Minute, Log: logr.Discard()})
	if err != nil {
		tb.Fatal(err)
	}
	s := newSession(New(Config{Store: store, Sink: &quiet{}, Log: logr.Discard(), Rate: 1e9, Burst: 1e6, Compile: compileAskers}), conn)
	if err := conn.Acquire(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return s
}

// converge applies what waits.
func converge(tb testing.TB, s *session) {
	tb.Helper()
	if err := s.drain(context.WithoutCancel(tb.Context())); err != nil {
		tb.Fatal(err)
	}
	if n := s.cfg.Sink.(*quiet).blocked; n > 0 {
		tb.Fatalf("%d owners are blocked", n)
	}
}

// cpu is the time that this process has been on a processor: wall times are no use on a machine that does other work.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// work is the exact part of a cost.
type work struct{ compiled, transactions, operations uint64 }

func workOf(e *Stats) work {
	return work{e.Compiled.Load(), e.Transactions.Load(), e.Operations.Load()}
}

func (w work) since(old work) work {
	return work{w.compiled - old.compiled, w.transactions - old.transactions, w.operations - old.operations}
}

// TestScaleWork is the benchmark in small, on work instead of time.
func TestScaleWork(t *testing.T) {
	size := scale{Pods: 1_000, Namespaces: 50, Subnets: 10, Nodes: 10}
	store := state.New(testConfig)
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	size.fill(store)
	s := openSession(t, server, store)
	all := uint64(1 + 1 + 1 + size.Subnets + size.Nodes + size.Pods) // the Vpc, join, the mirror of the nodes, and the rest
	step := func(name string, want work, run func()) {
		t.Helper()
		before := workOf(s.Stats())
		run()
		converge(t, s)
		if got := workOf(s.Stats()).since(before); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	step("fill", work{2*all - 1, 11, 1_145}, s.start) // the mirror but once
	s.conn.Close()
	s = openSession(t, server, store)
	step("restart", work{compiled: all}, s.start)
	step("audit", work{compiled: all}, func() {
		if err := s.audit(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	step("one Pod", work{1, 1, 2}, func() { size.putPod(store, size.Pods) })
	step("its end", work{1, 1, 1}, func() { size.deletePod(store, size.Pods) })
	step("500 Pods", work{500, 5, 500 + 50}, func() {
		for i := range 500 {
			size.putPod(store, size.Pods+i)
		}
	})
	step("a Subnet", work{uint64(size.Subnets) + 2, 1, 7}, func() { size.putSubnet(store, size.Subnets, "ovn") })
}
