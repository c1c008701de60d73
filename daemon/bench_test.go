package daemon

import (
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/heddle-net/heddle/daemon/port"
)

// The figures stand for one node with the user-space datapath and few ports in OVN; the plugin's process is measured from
// start to exit, as a runtime sees it. In parts, netns runs beside ovsdb and ovn-installed.

// BenchmarkCNIAdd: the address is there before the runtime asks.
func BenchmarkCNIAdd(b *testing.B) { benchmark(b, 1, "ADD") }

// BenchmarkCNIAddAmong200 is on a node that has 200 Pods already.
func BenchmarkCNIAddAmong200(b *testing.B) { (&load{standing: 200}).benchmark(b, 1, "ADD") }

// BenchmarkCNIAddShapedAmong200 is the same with limits of both directions, for all of them.
func BenchmarkCNIAddShapedAmong200(b *testing.B) {
	(&load{standing: 200, annotations: []string{"ingress_rate=100", "egress_rate=100"}}).benchmark(b, 1, "ADD")
}

// BenchmarkCNIAdd40 is 40 ADDs at once.
func BenchmarkCNIAdd40(b *testing.B) { benchmark(b, 40, "ADD") }

// BenchmarkCNIDel deletes what was added.
func BenchmarkCNIDel(b *testing.B) { benchmark(b, 1, "DEL") }

// load is what the node has besides, and what its Pods ask for.
type load struct {
	standing    int
	annotations []string
}

func benchmark(b *testing.B, atOnce int, measured string) { (&load{}).benchmark(b, atOnce, measured) }

func (l *load) benchmark(b *testing.B, atOnce int, measured string) {
	r := newRig(b)
	took := []time.Duration{}
	number := 0
	var all []*sandbox
	for range 5 * atOnce { // warm: the first Pod of a node is slow in OVN
		number++
		all = append(all, l.pod(r, number))
	}
	batch(b, all[:1], "ADD", &[]time.Duration{})
	batch(b, all[:1], "DEL", &[]time.Duration{})
	for range l.standing {
		number++
		batch(b, []*sandbox{l.pod(r, number)}, "ADD", &[]time.Duration{})
	}
	r.parts.times = map[string][]time.Duration{}
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		some := make([]*sandbox, atOnce)
		for i := range some {
			number++
			some[i] = l.pod(r, number)
		}
		r.NBCtl("--wait=hv", "sync")
		adds, dels := &[]time.Duration{}, &[]time.Duration{}
		if measured == "ADD" {
			b.StartTimer()
			batch(b, some, "ADD", &took)
			b.StopTimer()
			batch(b, some, "DEL", dels)
		} else {
			batch(b, some, "ADD", adds)
			b.StartTimer()
			batch(b, some, "DEL", &took)
			b.StopTimer()
		}
		for _, s := range some {
			r.DelNetNS(s.netns)
			r.NBCtl("lsp-del", s.pod.Name+".default")
		}
		b.StartTimer()
	}
	b.StopTimer()
	report(b, "", took)
	for _, part := range []string{port.PartWaitPod, port.PartNetNS, port.PartOVSDB, port.PartInstalled} {
		report(b, part+"-", r.parts.times[measured+" "+part])
	}
}

// pod has its port in the southbound database already; nothing is cleaned up when the benchmark ends but the node.
func (l *load) pod(r *rig, number int) *sandbox {
	s := r.pod(fmt.Sprintf("p%d", number), fmt.Sprintf("10.16.%d.%d", number/250, number%250+2), "10.16.0.0/16", "10.16.255.254", number%250)
	s.annotated(l.annotations...)
	return s
}

// batch runs one command for all sandboxes at once.
func batch(b *testing.B, some []*sandbox, command string, took *[]time.Duration) {
	b.Helper()
	cmds := make([]*exec.Cmd, len(some))
	for i, s := range some {
		cmds[i] = s.command(command)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	for _, cmd := range cmds {
		running.Go(func() {
			start := time.Now()
			out, err := cmd.Output()
			mu.Lock()
			defer mu.Unlock()
			*took = append(*took, time.Since(start))
			if err != nil {
				b.Errorf("%s: %v: %s", command, err, out)
			}
		})
	}
	running.Wait()
}

// report adds the median and the 99th percentile in milliseconds.
func report(b *testing.B, name string, took []time.Duration) {
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(took[len(took)/2]), name+"p50-ms")
	b.ReportMetric(ms(took[len(took)*99/100]), name+"p99-ms")
}
