package engine

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// BenchmarkScale is the engine with 50,000 Pods in 1,000 Namespaces and 100 Subnets, on 500 Nodes, with a real ovsdb-server
// (HEDDLE_BENCH_SCALE=0.1: a tenth of everything). What it reports as cpu is this process without ovsdb-server.
func BenchmarkScale(b *testing.B) {
	size := fullScale(b)
	store := state.New(testConfig)
	before := heapInUse()
	size.fill(store)
	f := &field{size: size, store: store, server: ovstest.StartServer(b, ovstest.NorthboundSchema)}
	f.session = openSession(b, f.server, store)
	f.session.start()
	converge(b, f.session)
	heap := float64(heapInUse()-before) / (1 << 20)

	b.Run("Fill", func(b *testing.B) { f.fill(b, heap) })
	b.Run("Restart", f.restart)
	b.Run("Audit", f.audit)
	b.Run("PodAdded", f.podAdded)
	b.Run("Burst1000", f.burst)
	b.Run("SubnetAdded", f.subnetAdded)
	b.Run("SubnetChanged", f.subnetChanged)
	b.Run("Groups", f.groups)
	runtime.KeepAlive(f)
}

// field is a converged cluster that the benchmarks change and leave as it was.
type field struct {
	size    scale
	store   *state.Store
	server  *ovstest.Server
	session *session
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one let finalizers see
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// meter sums time and CPU of the parts of an iteration that count.
type meter struct {
	wall, cpu time.Duration
	each      []time.Duration
}

func (m *meter) measure(tb testing.TB, run func()) {
	tb.Helper()
	started, busy := time.Now(), cpu(tb)
	run()
	took := time.Since(started)
	m.wall, m.cpu, m.each = m.wall+took, m.cpu+cpu(tb)-busy, append(m.each, took)
}

// report replaces ns/op, which includes setting up, by wall and CPU time of what was measured, in the unit given.
func (m *meter) report(b *testing.B, unit time.Duration, name string) {
	n := float64(len(m.each))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(m.wall.Seconds()/unit.Seconds()/n, name+"/op")
	b.ReportMetric(m.cpu.Seconds()/unit.Seconds()/n, "cpu-"+name+"/op")
}

func (m *meter) percentile(p float64) time.Duration {
	slices.Sort(m.each)
	return m.each[min(len(m.each)-1, int(p*float64(len(m.each))))]
}

// groups adds 1,000 owners that ask for three groups each, of 50 to 500 Pods, and then does some of the same again.
func (f *field) groups(b *testing.B) {
	before := heapInUse()
	var m meter
	m.measure(b, func() {
		f.size.putAskers(f.store)
		converge(b, f.session)
	})
	b.Logf("until committed: %.2f s, CPU %.2f s, %d groups, heap %.0f MiB more", m.wall.Seconds(), m.cpu.Seconds(), len(f.store.Groups()),
		(float64(heapInUse())-float64(before))/(1<<20))
	b.Run("PodAdded", f.podAdded)
	b.Run("Burst1000", f.burst)
	b.Run("Audit", f.audit)
	b.Run("Restart", f.restart)
	b.Run("Fill", func(b *testing.B) { f.fill(b, float64(heapInUse()-before)/(1<<20)) })
}

// fill starts with an empty database.
func (f *field) fill(b *testing.B, heap float64) {
	var m meter
	for b.Loop() {
		server := ovstest.StartServer(b, ovstest.NorthboundSchema)
		s := openSession(b, server, f.store)
		m.measure(b, func() {
			s.start()
			converge(b, s)
		})
		b.ReportMetric(float64(s.Stats().Transactions.Load()), "txns/op")
		s.conn.Close()
		server.Kill()
	}
	m.report(b, time.Second, "s")
	b.ReportMetric(heap, "heap-MiB")
}

// restart is a fresh process on a database that agrees: download, index, compare.
func (f *field) restart(b *testing.B) {
	var load, compare meter
	for b.Loop() {
		f.session.conn.Close()
		load.measure(b, func() { f.session = openSession(b, f.server, f.store) })
		compare.measure(b, func() {
			f.session.start()
			converge(b, f.session)
		})
		if n := f.session.Stats().Operations.Load(); n != 0 {
			b.Fatalf("a restart has %d operations", n)
		}
	}
	load.report(b, time.Second, "s-load")
	compare.report(b, time.Second, "s-compare")
	b.ReportMetric(0, "operations/op")
}

// audit is the full comparison, in its two parts.
func (f *field) audit(b *testing.B) {
	var compile, compare meter
	for b.Loop() {
		var wants []nb.Want
		compile.measure(b, func() { wants, _ = f.session.gather(f.session.everybody(nil)) })
		compare.measure(b, func() {
			for slice := range slices.Chunk(wants, sliceSize) {
				if txn := nb.Plan(f.session.conn, slice); !txn.Empty() {
					b.Fatalf("the audit finds\n%s", txn)
				}
			}
		})
	}
	compile.report(b, time.Second, "s-compile")
	compare.report(b, time.Second, "s-compare")
}

// podAdded is one Pod with its address, until it is committed.
func (f *field) podAdded(b *testing.B) {
	var m meter
	for b.Loop() {
		m.measure(b, func() {
			f.size.putPod(f.store, f.size.Pods)
			converge(b, f.session)
		})
		f.size.deletePod(f.store, f.size.Pods)
		converge(b, f.session)
	}
	m.report(b, time.Millisecond, "ms")
	b.ReportMetric(m.percentile(0.5).Seconds()*1e3, "p50-ms")
	b.ReportMetric(m.percentile(0.99).Seconds()*1e3, "p99-ms")
}

func (f *field) burst(b *testing.B) {
	const pods = 1000
	var m meter
	before := f.session.Stats().Transactions.Load()
	var transactions uint64
	for b.Loop() {
		m.measure(b, func() {
			for i := range pods {
				f.size.putPod(f.store, f.size.Pods+i)
			}
			converge(b, f.session)
		})
		transactions += f.session.Stats().Transactions.Load() - before
		for i := range pods {
			f.size.deletePod(f.store, f.size.Pods+i)
		}
		converge(b, f.session)
		before = f.session.Stats().Transactions.Load()
	}
	m.report(b, time.Millisecond, "ms")
	b.ReportMetric(float64(transactions)/float64(len(m.each)), "txns/op")
}

func (f *field) subnetAdded(b *testing.B) {
	var m meter
	var compiled uint64
	for b.Loop() {
		before := f.session.Stats().Compiled.Load()
		m.measure(b, func() {
			f.size.putSubnet(f.store, f.size.Subnets, "ovn")
			converge(b, f.session)
		})
		compiled += f.session.Stats().Compiled.Load() - before
		f.store.Subnets.Delete(subnetName(f.size.Subnets))
		converge(b, f.session)
	}
	m.report(b, time.Millisecond, "ms")
	b.ReportMetric(float64(compiled)/float64(len(m.each)), "compiled/op")
}

// subnetChanged changes a Subnet that has Pods in a way that its rows do not show, so that what is measured is finding out.
func (f *field) subnetChanged(b *testing.B) {
	var m meter
	var compiled uint64
	turn := 0
	for b.Loop() {
		turn++
		before := f.session.Stats().Compiled.Load()
		m.measure(b, func() {
			f.size.putSubnet(f.store, 0, fmt.Sprintf("provider-%d", turn%2))
			converge(b, f.session)
		})
		compiled += f.session.Stats().Compiled.Load() - before
	}
	f.size.putSubnet(f.store, 0, "ovn")
	converge(b, f.session)
	m.report(b, time.Millisecond, "ms")
	b.ReportMetric(float64(compiled)/float64(len(m.each)), "compiled/op")
}
