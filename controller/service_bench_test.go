package controller_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestWorkOfServices holds what Services cost, on any machine: one operation for each Service and protocol whose endpoints change, in not
// more than one northbound transaction for each change, and no write to the API server.
func TestWorkOfServices(t *testing.T) {
	const n = 100
	s := newLoad(t).services(n, corev1.ProtocolTCP, corev1.ProtocolUDP)
	balancers := float64(n * len(s.protocols))
	for _, c := range []struct {
		what       string
		ask, wait  func()
		changes    float64                                          // that the controller is told of, for each Service
		operations func(transactions float64) (least, most float64) // operations
	}{
		// A Service that comes before its slice is inserted without endpoints. Each transaction changes the group of load balancers once.
		{"created", s.createAll, s.waitEndpoints, 2, func(txns float64) (float64, float64) { return balancers + 1, 2*balancers + txns }},
		{"one endpoint replaced", s.replaceOne, s.waitEndpoints, 1, func(float64) (float64, float64) { return balancers, balancers }},
		{"deleted", s.deleteAll, s.waitNone, 1, func(txns float64) (float64, float64) { return balancers + 1, balancers + txns }},
	} {
		p := s.during(c.ask, c.wait)
		if list := p.ownWrites(); len(list) > 0 {
			t.Errorf("%s: the controller writes %q, want nothing", c.what, list)
		}
		txns, ops := p.own[transactions], p.own[operations]
		if most := n * c.changes; txns > most {
			t.Errorf("%s: %.0f transactions, %.0f are allowed", c.what, txns, most)
		}
		if least, most := c.operations(txns); ops < least || ops > most {
			t.Errorf("%s: %.0f operations in %.0f transactions, want %.0f to %.0f", c.what, ops, txns, least, most)
		}
		t.Logf("%d Services %s: %.0f operations in %.0f transactions", n, c.what, ops, txns)
	}
}

// BenchmarkServices creates Services of ten endpoints each, replaces one endpoint of each, and deletes all, as fast as the API server takes it.
func BenchmarkServices(b *testing.B) {
	for b.Loop() {
		s := newLoad(b).services(scaled(b, 1000), corev1.ProtocolTCP)
		s.report(b, "create", s.during(s.createAll, s.waitEndpoints))
		s.report(b, "replace", s.during(s.replaceOne, s.waitEndpoints))
		s.report(b, "delete", s.during(s.deleteAll, s.waitNone))
		report(b, "peak-MiB", s.memory("VmHWM"))
		s.kill()
	}
}

func (s *services) report(b *testing.B, name string, p phase) {
	b.Helper()
	n := float64(len(s.slices))
	report(b, name+"-s", (p.posted + p.lag).Seconds())
	report(b, name+"-lag-s", p.lag.Seconds())
	report(b, name+"-txns", p.own[transactions])
	report(b, name+"-ops/service", p.own[operations]/n)
	list := p.ownWrites()
	report(b, name+"-writes", float64(len(list)))
	b.Logf("%s: others than the load have written %q", name, list)
	report(b, name+"-cpu-ms/service", ms(p.used.controller)/n)
	report(b, name+"-apiserver-cpu-ms/service", ms(p.used.apiserver)/n)
	report(b, name+"-heap-MiB", s.mustOwn()["go_memstats_heap_alloc_bytes"]/(1<<20))
}
