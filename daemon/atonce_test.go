package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heddle-net/heddle/daemon/port"
)

// BenchmarkCNIAddAtOnce asks for a Pod when the API server has just answered its POST: the plugin waits for the real
// controller, ovn-northd and ovn-controller.
func BenchmarkCNIAddAtOnce(b *testing.B) {
	w := newWorldOf(b, (*world).controlled)
	config := w.conflist(b)
	add := func(number int) time.Duration {
		s := w.posted(number, config)
		var took []time.Duration
		batch(b, []*sandbox{s}, "ADD", &took)
		batch(b, []*sandbox{s}, "DEL", &[]time.Duration{})
		return took[0]
	}
	add(0) // the first Pod of a node is slow in OVN
	var took []time.Duration
	for b.Loop() {
		took = append(took, add(len(took)+1))
	}
	report(b, "", took)
}

// BenchmarkIdle is 10 s of a daemon with nothing to do. The kernel counts what is
// started in the whole node, threads included (proc(5): loadavg).
func BenchmarkIdle(b *testing.B) {
	w := newWorldOf(b, (*world).controlled)
	w.conflist(b) // written when the node is ready
	for b.Loop() {
		started, used := lastPID(b), cpuTime(b)
		<-time.After(10 * time.Second)
		b.ReportMetric((cpuTime(b)-used).Seconds()*10, "cpu-%")
		b.ReportMetric(float64(lastPID(b)-started), "started")
	}
	b.ReportMetric(0, "ns/op")
}

func lastPID(b *testing.B) (pid int) {
	b.Helper()
	text, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		fields := strings.Fields(string(text))
		_, err = fmt.Sscan(fields[len(fields)-1], &pid)
	}
	if err != nil {
		b.Fatal(err)
	}
	return pid
}

// cpuTime is that of this process, in which the daemon runs.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// controlled makes the node and leaves everything else to the controller.
func (w *world) controlled() {
	w.tb.Helper()
	w.cluster.create("{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 192.0.2.11}]}}")
	binary := filepath.Join(w.Dir, "heddle-controller")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/heddle-controller").CombinedOutput(); err != nil {
		w.tb.Fatalf("build heddle-controller: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "--kubeconfig", w.cluster.Kubeconfig(), "--ovn-nb-addr", w.NB, "--ovn-sb-addr", w.SB,
		"--leader-elect=false", "--metrics-bind-address=0", "--health-probe-bind-address=0")
	if err := cmd.Start(); err != nil {
		w.tb.Fatal(err)
	}
	w.tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// posted is a Pod that nobody but the API server knows yet.
func (w *world) posted(number int, config map[string]any) *sandbox {
	w.tb.Helper()
	name := fmt.Sprintf("p%d", number)
	s := w.sandboxOf(port.Pod{Namespace: "default", Name: name}, "container-"+name)
	s.config = config
	made := w.cluster.create(fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: default}, spec: {nodeName: n1, containers: [{name: c, image: i}]}}", name))
	s.pod.UID = string(made.GetUID())
	return s
}
