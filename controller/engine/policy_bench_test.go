package engine

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// BenchmarkPolicies is what changes cost in a cluster of 10,000 Pods in 10 Namespaces with 1,000 NetworkPolicies: each is for some of the
// Pods of a Namespace, lets in those of a team of Namespaces and those with a label in the whole cluster, and lets out to one more. What
// it reports as operations are those of OVSDB, in how many transactions, until the last one is committed.
func BenchmarkPolicies(b *testing.B) {
	size := fullScale(b)
	size.Pods, size.Namespaces, size.Subnets, size.Nodes = size.Pods/5, 10, 10, size.Nodes/5
	store := state.New(testConfig)
	size.fill(store)
	f := &field{size: size, store: store, server: ovstest.StartServer(b, ovstest.NorthboundSchema)}
	f.session = openSession(b, f.server, store)
	f.session.start()
	converge(b, f.session)
	before := heapInUse()
	var m meter
	m.measure(b, func() {
		for i := range size.policies() {
			size.putPolicy(store, i)
		}
		converge(b, f.session)
	})
	b.Logf("%d policies until committed: %.2f s, CPU %.2f s, %d groups, heap %.1f MiB more", size.policies(), m.wall.Seconds(), m.cpu.Seconds(),
		len(store.Groups()), (float64(heapInUse())-float64(before))/(1<<20))

	b.Run("PodAdded", func(b *testing.B) {
		f.change(b, func() { size.putPod(store, size.Pods) }, func() { size.deletePod(store, size.Pods) })
	})
	b.Run("PodRelabelled", func(b *testing.B) {
		pod := size.pod(0)
		other := *pod
		other.Labels = state.LabelsOf(map[string]string{"app": "web-1", "tier": "db"})
		f.change(b, func() { store.Pods.Put(pod.Key(), &other) }, func() { store.Pods.Put(pod.Key(), pod) })
	})
	b.Run("NamespaceRelabelled", func(b *testing.B) {
		f.change(b, func() { size.putTeam(store, 0, "1") }, func() { size.putTeam(store, 0, "0") })
	})
	b.Run("PolicyAdded", func(b *testing.B) {
		n := size.policies()
		f.change(b, func() { size.putPolicy(store, n) }, func() { store.Policies.Delete(size.policy(n).Namespace + "/" + size.policy(n).Name) })
	})
	b.Run("PolicyRemoved", func(b *testing.B) {
		f.change(b, func() { store.Policies.Delete(size.policy(0).Namespace + "/" + size.policy(0).Name) }, func() { size.putPolicy(store, 0) })
	})
}

// change measures one way, and goes back unmeasured.
func (f *field) change(b *testing.B, there, back func()) {
	var m meter
	var operations, transactions, compiled uint64
	for b.Loop() {
		stats := f.session.Stats()
		ops, txns, owners := stats.Operations.Load(), stats.Transactions.Load(), stats.Compiled.Load()
		m.measure(b, func() {
			there()
			converge(b, f.session)
		})
		operations, transactions, compiled = operations+stats.Operations.Load()-ops, transactions+stats.Transactions.Load()-txns, compiled+stats.Compiled.Load()-owners
		back()
		converge(b, f.session)
	}
	n := float64(len(m.each))
	m.report(b, time.Millisecond, "ms")
	b.ReportMetric(float64(operations)/n, "operations/op")
	b.ReportMetric(float64(transactions)/n, "txns/op")
	b.ReportMetric(float64(compiled)/n, "compiled/op")
}

func (s scale) policies() int { return s.Pods / 10 }

// policy is for the Pods of one application in a Namespace.
func (s scale) policy(i int) *state.NetworkPolicy {
	return &state.NetworkPolicy{
		Namespace: namespaceName(i % s.Namespaces), Name: fmt.Sprint("policy-", i),
		Pods:     state.Selector{Namespace: namespaceName(i % s.Namespaces), Pods: in("app", fmt.Sprint("web-", i/s.Namespaces%s.Namespaces))},
		Isolates: [state.Directions]bool{true, true},
		Rules: []state.Rule{
			{Direction: state.Ingress, Peers: []state.Selector{{Namespaces: in("team", strconv.Itoa(i%teams))}}, AnyPort: true},
			{
				Direction: state.Ingress, Peers: []state.Selector{{Pods: in("app", fmt.Sprint("web-", i%s.Namespaces))}},
				Ports: []state.PortRange{{Protocol: "tcp", First: uint16(1 + i), Last: uint16(1 + i)}},
			},
			{Direction: state.Egress, Peers: []state.Selector{{Namespace: namespaceName(i % s.Namespaces)}}, AnyPort: true},
		},
	}
}

func (s scale) putPolicy(store *state.Store, i int) {
	p := s.policy(i)
	store.Policies.Put(p.Namespace+"/"+p.Name, p)
}

func (s scale) putTeam(store *state.Store, i int, team string) {
	store.Namespaces.Put(namespaceName(i), &state.Namespace{Name: namespaceName(i), Labels: state.LabelsOf(map[string]string{
		"kubernetes.io/metadata.name": namespaceName(i), "team": team,
	})})
}
