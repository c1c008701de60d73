package controller_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// The benchmarks here run the controller against a real kube-apiserver and etcd, ovsdb-server and ovn-northd, with 50 nodes
// that have no kubelet, and create Pods that are on a node already. HEDDLE_BENCH_SCALE=0.1 makes them smaller.

func scaled(tb testing.TB, n int) int {
	text := os.Getenv("HEDDLE_BENCH_SCALE")
	if text == "" {
		return n
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		tb.Fatalf("HEDDLE_BENCH_SCALE: %v", err)
	}
	return max(10, int(float64(n)*f))
}

// TestWorkOfPods holds what a Pod costs. It is exact, on any machine: two writes to the API server, and not more than one
// northbound transaction, which it shares with its neighbours in time.
func TestWorkOfPods(t *testing.T) {
	l := newLoad(t)
	l.look("default")
	first := 0
	for _, c := range []struct{ pods, workers int }{{1, 1}, {10, 1}, {200, 16}} {
		started := time.Now()
		writes, lists, own := l.apiWrites(), l.apiRequests(subnetLists), l.mustOwn()
		l.createPods("default", first, c.pods, c.workers, 0)
		l.waitServed(c.pods)
		first += c.pods
		l.waitPorts(first)
		took := time.Since(started).Seconds()
		l.mustWrite(l.apiWrites().since(writes), c.pods, took)
		// One for the first Pod of the Namespace, and one when the Namespace's annotations are written.
		if n := l.apiRequests(subnetLists).since(lists)["LIST subnets"]; n > 2 {
			t.Errorf("%d Pods took %.0f lists of Subnets, 2 are allowed", c.pods, n)
		}
		// The engine commits 10 times at once and then 10 times a second, if it is not for more than 100 owners.
		allowed := min(float64(c.pods), 10+10*took)
		if n := l.mustOwn().since(own)[transactions]; n > allowed {
			t.Errorf("%d Pods took %.0f northbound transactions, %.0f are allowed", c.pods, n, allowed)
		}
	}
}

func subnetLists(verb, resource string) bool { return verb == "LIST" && resource == "subnets" }

// mustWrite checks the writes of so many new Pods, their own POSTs included.
func (l *load) mustWrite(made counters, pods int, seconds float64) {
	l.Helper()
	l.mustBe("POST ips", made["POST ips"], pods)
	l.mustBe("PATCH pods", made["PATCH pods"], pods)
	for key, n := range made {
		switch key {
		case "POST pods", "POST ips", "PATCH pods":
		case "PUT subnets/status": // the count of addresses, at most once a second
			if allowed := 2 + seconds; n > allowed {
				l.Errorf("%s: %.0f, %.0f are allowed", key, n, allowed)
			}
		default:
			l.mustBe(key, n, 0)
		}
	}
}

const transactions, operations = "heddle_northbound_transactions_total", "heddle_northbound_operations_total"

func (l *load) mustBe(what string, got float64, want int) {
	l.Helper()
	if got != float64(want) {
		l.Errorf("%s: %.0f, want %d", what, got, want)
	}
}

// TestWorkOfSubnet holds what a Subnet costs in a cluster of 50 nodes: one northbound transaction.
func TestWorkOfSubnet(t *testing.T) {
	l := newLoad(t)
	if n := l.addSubnet(); n != 1 {
		t.Errorf("a new Subnet took %.0f northbound transactions, want 1", n)
	}
}

// addSubnet counts the northbound transactions that a new Subnet takes.
func (l *load) addSubnet() float64 {
	l.Helper()
	before := l.mustOwn()
	l.create(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "blue"}, Spec: v1.SubnetSpec{CIDRBlock: "10.17.0.0/16"}})
	l.readySubnet("blue")
	return l.mustOwn().since(before)[transactions]
}

// span is the life of a POST.
type span struct{ sent, answered time.Time }

// createPods posts Pods with so many at a time, or one in each interval, and says when.
func (l *load) createPods(namespace string, first, n, workers int, interval time.Duration) map[string]span {
	l.Helper()
	spans := make(map[string]span, n)
	var mu sync.Mutex
	l.each(n, workers, interval, func(i int) error {
		obj := loadPod(namespace, first+i)
		s := span{sent: time.Now()}
		_, err := l.pods(namespace).Create(l.Context(), obj, metav1.CreateOptions{})
		s.answered = time.Now()
		mu.Lock()
		defer mu.Unlock()
		spans[obj.Name] = s
		return err
	})
	return spans
}

// each calls f for 0 to n-1 from so many goroutines, not faster than one in an interval.
func (l *load) each(n, workers int, interval time.Duration, f func(i int) error) {
	l.Helper()
	numbers, errs := make(chan int), make(chan error, workers)
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			var err error
			for i := range numbers {
				if err == nil {
					err = f(i)
				}
			}
			errs <- err
		})
	}
	pace := time.NewTicker(max(interval, 1))
	defer pace.Stop()
	for i := range n {
		if interval > 0 {
			<-pace.C
		}
		numbers <- i
	}
	close(numbers)
	wait.Wait()
	for range workers {
		l.must(<-errs)
	}
}

// waitServed returns when each of n more Pods was seen with its address.
func (l *load) waitServed(n int) map[string]time.Time {
	l.Helper()
	at := make(map[string]time.Time, n)
	late := time.NewTimer(5 * time.Minute)
	defer late.Stop()
	for len(at) < n {
		select {
		case a := <-l.served:
			at[a.name] = a.at
		case <-late.C:
			l.Fatalf("%d of %d Pods have an address; metrics: %v", len(at), n, l.mustOwn())
		}
	}
	return at
}

// BenchmarkPaced creates 10 Pods a second: from the answer to the POST until a watcher sees the address, and in post-* from
// sending the POST.
func BenchmarkPaced(b *testing.B) {
	for b.Loop() {
		l := newLoad(b)
		l.look("default")
		n := scaled(b, 300)
		own, used, writes := l.mustOwn(), l.usage(), l.apiWrites()
		spans := l.createPods("default", 0, n, 4, 100*time.Millisecond)
		at := l.waitServed(n)
		used = l.usage().since(used)
		var fromAnswer, fromPost []time.Duration
		for name, t := range at {
			fromAnswer, fromPost = append(fromAnswer, t.Sub(spans[name].answered)), append(fromPost, t.Sub(spans[name].sent))
		}
		report(b, "ms-p50", ms(percentile(fromAnswer, 0.5)))
		report(b, "ms-p99", ms(percentile(fromAnswer, 0.99)))
		report(b, "post-ms-p50", ms(percentile(fromPost, 0.5)))
		report(b, "post-ms-p99", ms(percentile(fromPost, 0.99)))
		report(b, "cpu-ms/pod", ms(used.controller)/float64(n))
		report(b, "txns/pod", l.mustOwn().since(own)[transactions]/float64(n))
		l.reportWrites(b, writes, n)
		l.kill()
	}
}

func report(b *testing.B, unit string, value float64) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(value, unit)
}

func ms(d time.Duration) float64 { return d.Seconds() * 1e3 }

func percentile(list []time.Duration, p float64) time.Duration {
	slices.Sort(list)
	return list[min(len(list)-1, int(p*float64(len(list))))]
}

// reportWrites counts the API writes of each Pod but its own POST.
func (l *load) reportWrites(b *testing.B, before counters, pods int) {
	made := l.apiWrites().since(before)
	var all float64
	for _, n := range made {
		all += n
	}
	status := made["PUT subnets/status"]
	report(b, "writes/pod", (all-status-made["POST pods"])/float64(pods))
	report(b, "status-writes", status)
}

// BenchmarkBurst creates Pods as fast as the API server takes them, adds a Subnet, restarts the controller, and deletes all.
func BenchmarkBurst(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		b.Run(fmt.Sprintf("pods=%d", n), func(b *testing.B) {
			for b.Loop() {
				l := newLoad(b)
				l.look("default")
				n := scaled(b, n)
				l.burst(b, n)
				report(b, "subnet-txns", l.addSubnet())
				l.restart(b)
				l.deleteAll(b, n)
				l.kill()
			}
		})
	}
}

// creators is the number of Pods that are posted, or deleted, at a time.
const creators = 32

func (l *load) burst(b *testing.B, n int) {
	own, used, writes := l.mustOwn(), l.usage(), l.apiWrites()
	started := time.Now()
	l.createPods("default", 0, n, creators, 0)
	posted := time.Since(started)
	var last time.Time
	for _, t := range l.waitServed(n) {
		last = maxTime(last, t)
	}
	l.waitPorts(n)
	used = l.usage().since(used)
	report(b, "pods/s", float64(n)/last.Sub(started).Seconds())
	report(b, "posted/s", float64(n)/posted.Seconds())
	report(b, "cpu-ms/pod", ms(used.controller)/float64(n))
	report(b, "cpu-%", 100*used.controller.Seconds()/used.total().Seconds())
	report(b, "apiserver-cpu-ms/pod", ms(used.apiserver)/float64(n))
	report(b, "all-cpu-ms/pod", ms(used.total())/float64(n))
	report(b, "txns/pod", l.mustOwn().since(own)[transactions]/float64(n))
	l.reportWrites(b, writes, n)
	report(b, "peak-MiB", l.memory("VmHWM"))
	report(b, "after-MiB", l.memory("VmRSS"))
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// restart measures until the controller has nothing more to do.
func (l *load) restart(b *testing.B) {
	l.kill()
	writes := l.apiWrites()
	started := time.Now()
	l.run()
	l.waitIdle()
	report(b, "restart-s", time.Since(started).Seconds())
	report(b, "restart-cpu-s", processTime(b, l.process.Process.Pid).Seconds())
	report(b, "restart-rows", l.mustOwn()[operations])
	report(b, "restart-MiB", l.memory("VmRSS"))
	var all float64
	for what, n := range l.apiWrites().since(writes) {
		if all += n; n > 0 {
			b.Logf("after the restart: %s %.0f", what, n)
		}
	}
	report(b, "restart-writes", all)
}

// waitIdle returns when the controller's metrics say that the database agrees and that no queue has work. They can only be
// asked for.
func (l *load) waitIdle() {
	l.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.Now().Add(2 * time.Minute)
	for range tick.C {
		c, err := l.own()
		if err == nil && c["heddle_northbound_synced"] == 1 && c["heddle_owners_waiting"] == 0 &&
			c["workqueue_depth"] == 0 && c["controller_runtime_active_workers"] == 0 {
			return
		}
		if time.Now().After(late) {
			l.Fatalf("the controller is not idle: %v; it ends with\n%s", err, l.log.tail(20))
		}
	}
}

// deleteAll measures how long after the API server's last answer the last port is gone.
func (l *load) deleteAll(b *testing.B, n int) {
	used, now := l.usage(), int64(0)
	started := time.Now()
	l.each(n, creators, 0, func(i int) error {
		return l.pods("default").Delete(l.Context(), loadPod("default", i).Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	})
	answered := time.Now()
	l.waitPorts(0)
	report(b, "delete-s", answered.Sub(started).Seconds())
	report(b, "delete-lag-s", time.Since(answered).Seconds())
	l.waitIdle()
	report(b, "delete-idle-lag-s", time.Since(answered).Seconds())
	report(b, "delete-cpu-ms/pod", ms(l.usage().since(used).controller)/float64(n))
}
