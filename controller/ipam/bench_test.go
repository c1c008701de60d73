package ipam

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
)

// The benchmarks stand for one Subnet with 50,000 Pods.
const pods = 50_000

func owners(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("web-%d.namespace-%d", i, i%100)
	}
	return names
}

// scattered are n addresses of a CIDR in random order.
func scattered(cidr string, n int) []netip.Addr {
	base := netip.MustParsePrefix(cidr).Addr()
	addrs := make([]netip.Addr, n)
	for i, offset := range rand.New(rand.NewPCG(1, 2)).Perm(65000)[:n] {
		addrs[i] = plus(base, uint64(offset+2))
	}
	return addrs
}

// reportHeap adds what build's result keeps on the heap.
func reportHeap(b *testing.B, build func() any) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept := build()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(kept)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-held")
}

func BenchmarkAcquireReleaseAt50k(b *testing.B) {
	for _, cidrs := range [][]string{{"10.16.0.0/16"}, {"10.16.0.0/16", "fd00::/64"}} {
		b.Run(fmt.Sprint(len(cidrs), "-families"), func(b *testing.B) {
			b.ReportAllocs()
			p := newPool(b, cidrs...)
			for _, owner := range owners(pods) {
				mustAcquire(b, p, owner)
			}
			for b.Loop() {
				if _, err := p.Acquire("one-more", Request{}); err != nil {
					b.Fatal(err)
				}
				p.Release("one-more")
			}
		})
	}
}

func BenchmarkFill60k(b *testing.B) {
	b.ReportAllocs()
	names := owners(60_000)
	for b.Loop() {
		p := newPool(b, "10.16.0.0/16")
		for _, owner := range names {
			if _, err := p.Acquire(owner, Request{}); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkRebuild50k(b *testing.B) {
	names := owners(pods)
	for _, cidr := range []string{"10.16.0.0/16", "fd00::/64"} {
		b.Run(cidr, func(b *testing.B) {
			b.ReportAllocs()
			addrs := scattered(cidr, pods)
			rebuild := func() any {
				p := newPool(b, cidr)
				for i, a := range addrs {
					if err := p.Hold(names[i], []netip.Addr{a}, ""); err != nil {
						b.Fatal(err)
					}
				}
				return p
			}
			for b.Loop() {
				rebuild()
			}
			reportHeap(b, rebuild)
		})
	}
}

// BenchmarkStatus50kFragmented is the worst case: no two held addresses touch.
func BenchmarkStatus50kFragmented(b *testing.B) {
	p := newPool(b, "10.16.0.0/15")
	base := netip.MustParseAddr("10.16.0.0")
	for i, owner := range owners(pods) {
		if err := p.Hold(owner, []netip.Addr{plus(base, uint64(2*i+2))}, ""); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("status", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p.Status()
		}
	})
	b.Run("status-and-text", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s := p.Status()
			_, _ = s.V4.Using.Count(), s.V4.Available.Count()
			_, _ = s.V4.Using.String(), s.V4.Available.String()
		}
	})
}
