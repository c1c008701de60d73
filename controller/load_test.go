package controller_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// load is a rig with 50 nodes, ovn-northd, and somebody who creates Pods and looks when they are served.
type load struct {
	*rig
	pods       func(namespace string) podClient
	api        *http.Client
	metrics    string
	northbound *nb.Conn // nil until somebody counts ports

	served chan arrival
}

type podClient interface {
	Create(context.Context, *corev1.Pod, metav1.CreateOptions) (*corev1.Pod, error)
	Delete(context.Context, string, metav1.DeleteOptions) error
}

// arrival is the first time that a Pod was seen with its address.
type arrival struct {
	name string
	at   time.Time
}

// loadNodes is the number of nodes; none has a kubelet.
const loadNodes = 50

func newLoad(tb testing.TB) *load {
	tb.Helper()
	l := newLoadAlone(tb)
	northd := ovstest.StartNorthd(tb)
	l.nb, l.sb = northd.NB, northd.SB
	for i := range loadNodes {
		l.node(nodeName(i), fmt.Sprintf("192.0.2.%d", i+1))
	}
	l.run()
	l.readySubnet("ovn-default")
	for i := range loadNodes {
		l.wait(&corev1.NodeList{}, "a node has its address", func(obj client.Object) bool {
			return obj.GetName() == nodeName(i) && obj.GetAnnotations()[v1.AnnotationIPAddress] != ""
		})
	}
	l.waitIdle()
	return l
}

// newLoadAlone has neither nodes nor a controller.
func newLoadAlone(tb testing.TB) *load {
	tb.Helper()
	l := &load{rig: newRig(tb), served: make(chan arrival, 100_000), metrics: "http://" + freeAddress(tb) + "/metrics"}
	config := l.plane.Config()
	config.QPS, config.ContentType = -1, "application/vnd.kubernetes.protobuf"
	clients, err := kubernetes.NewForConfig(config)
	l.must(err)
	l.pods = func(namespace string) podClient { return clients.CoreV1().Pods(namespace) }
	l.api, err = rest.HTTPClientFor(l.plane.Config())
	l.must(err)
	return l
}

// dial looks at the northbound database.
func (l *load) dial() {
	l.Helper()
	conn, err := nb.Dial(l.Context(), nb.Config{Endpoints: []string{l.nb.Endpoint}, Timeout: time.Minute, Log: logr.Discard()})
	l.must(err)
	done := make(chan error, 1)
	go func() { done <- conn.Run(context.WithoutCancel(l.Context())) }()
	l.Cleanup(func() {
		conn.Close()
		<-done //nolint:errcheck // closed by us: whatever it says
	})
	l.northbound = conn
}

func nodeName(i int) string { return fmt.Sprintf("node-%d", i%loadNodes) }

// freeAddress is one of 127.0.0.1 that nobody listens on just now.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// run starts the controller with its metrics.
func (l *load) run() {
	l.Helper()
	l.start("--metrics-bind-address=" + strings.TrimSuffix(strings.TrimPrefix(l.metrics, "http://"), "/metrics"))
}

// look notes when Pods of the namespace are served, until the test ends. It sees metadata only, which costs little.
func (l *load) look(namespace string) {
	ctx, cancel := context.WithCancel(l.Context())
	done := make(chan struct{})
	l.Cleanup(func() {
		cancel()
		<-done
	})
	go func() {
		defer close(done)
		seen := make(map[string]bool)
		for ctx.Err() == nil { // the API server may end a watch at any time
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
			w, err := l.client.Watch(ctx, list, client.InNamespace(namespace), fromCache)
			if err != nil {
				continue
			}
			for e := range w.ResultChan() {
				obj, ok := e.Object.(client.Object)
				if ok && !seen[obj.GetName()] && obj.GetAnnotations()[v1.AnnotationAllocated] == v1.AnnotationTrue {
					seen[obj.GetName()] = true
					l.served <- arrival{obj.GetName(), time.Now()}
				}
			}
		}
	}()
}

func loadPod(namespace string, i int) *corev1.Pod {
	return pod(namespace, fmt.Sprintf("web-6d4b75cb6d-%05d", i), nodeName(i), nil)
}

// waitPorts returns when the switch of the default Subnet has that many ports of Pods.
func (l *load) waitPorts(want int) {
	l.Helper()
	l.northboundIs(func() string {
		have := len(l.northbound.Inside(nb.Ref{Table: "Logical_Switch", ID: "ovn-default"})) - 1 // less the router's
		if have == want {
			return ""
		}
		return fmt.Sprintf("%d ports, want %d", have, want)
	})
}

// northboundIs looks at the database, at each change of it anew, until nothing is wrong any more. The first call connects, which costs the
// machine something from then on.
func (l *load) northboundIs(wrong func() string) {
	l.Helper()
	if l.northbound == nil {
		l.dial()
	}
	ctx, cancel := context.WithTimeout(l.Context(), 5*time.Minute)
	defer cancel()
	for {
		l.northbound.Sync()
		text := wrong()
		if text == "" {
			return
		}
		select {
		case <-l.northbound.Changed():
		case <-l.northbound.Done(): // the server drops who does not answer its probes within 5 s
			l.dial()
		case <-ctx.Done():
			l.Fatal(text)
		}
	}
}

// counters are sums since a process started.
type counters map[string]float64

func (c counters) since(old counters) counters {
	d := make(counters, len(c))
	for k, v := range c {
		d[k] = v - old[k]
	}
	return d
}

// scrape reads Prometheus metrics and adds up what has the same key; no key leaves a metric out.
func (l *load) scrape(api *http.Client, url string, key func(name, labels string) string) (counters, error) {
	ctx, cancel := context.WithTimeout(l.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := api.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return parseMetrics(response.Body, key)
}

func parseMetrics(r io.Reader, key func(name, labels string) string) (counters, error) {
	sums := make(counters)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		series, value, ok := strings.Cut(strings.Replace(lines.Text(), "} ", "}\x00", 1), "\x00")
		if !ok {
			series, value, ok = strings.Cut(lines.Text(), " ")
		}
		if !ok || strings.HasPrefix(series, "#") {
			continue
		}
		name, labels, _ := strings.Cut(series, "{")
		if k := key(name, labels); k != "" {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return nil, err
			}
			sums[k] += v
		}
	}
	return sums, lines.Err()
}

// apiWrites counts what the API server has written, by verb and resource.
func (l *load) apiWrites() counters {
	l.Helper()
	return l.apiRequests(func(verb, resource string) bool {
		return !slices.Contains([]string{"GET", "LIST", "WATCH", "CONNECT"}, verb) && resource != "leases"
	})
}

// apiRequests counts the requests of some kinds that the API server has served, by verb and resource.
func (l *load) apiRequests(counts func(verb, resource string) bool) counters {
	l.Helper()
	c, err := l.scrape(l.api, l.plane.Config().Host+"/metrics", func(name, labels string) string {
		verb, resource := label(labels, "verb"), label(labels, "resource")
		done := name == "apiserver_request_total" && strings.HasPrefix(label(labels, "code"), "2")
		if !done || !counts(verb, resource) {
			return ""
		}
		if sub := label(labels, "subresource"); sub != "" {
			resource += "/" + sub
		}
		return verb + " " + resource
	})
	l.must(err)
	return c
}

func label(labels, name string) string {
	_, rest, _ := strings.Cut(","+labels, ","+name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// own reads the controller's metrics.
func (l *load) own() (counters, error) {
	return l.scrape(http.DefaultClient, l.metrics, func(name, _ string) string { return name })
}

func (l *load) mustOwn() counters {
	l.Helper()
	c, err := l.own()
	l.must(err)
	return c
}

// processTime is the CPU time of a process, with the kernel's on its behalf (proc(5): utime and stime, in ticks of 10 ms).
func processTime(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			tb.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// usage is the CPU time of everything on the rig but ovn-northd and the test itself.
type usage struct{ controller, apiserver, etcd, northbound time.Duration }

func (l *load) usage() usage {
	l.Helper()
	of := func(pid int) time.Duration { return processTime(l, pid) }
	return usage{of(l.process.Process.Pid), of(l.plane.PID("kube-apiserver")), of(l.plane.PID("etcd")), of(l.nb.Pid())}
}

func (u usage) since(old usage) usage {
	return usage{u.controller - old.controller, u.apiserver - old.apiserver, u.etcd - old.etcd, u.northbound - old.northbound}
}

func (u usage) total() time.Duration { return u.controller + u.apiserver + u.etcd + u.northbound }

// memory is a field of /proc/PID/status of the controller, in MiB: VmRSS is what it has now, VmHWM the most it had.
func (l *load) memory(field string) float64 {
	l.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.process.Process.Pid))
	l.must(err)
	_, rest, _ := strings.Cut(string(data), field+":")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	l.must(err)
	return kib / 1024
}
