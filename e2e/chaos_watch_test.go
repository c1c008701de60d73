package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/e2e/sandbox/cluster"
	"github.com/heddle-net/heddle/e2e/sandbox/machine"
)

// observer knows the cluster's objects and tells when anything has happened: an object changed, a link or a network
// namespace came or went on a node. It outlives kube-apiserver.
type observer struct {
	sandbox *cluster.Cluster
	kube    client.Client // reads and writes at kube-apiserver
	seen    cache.Cache   // what the watches have told

	mu      sync.Mutex
	changed chan struct{} // closed at the next event
}

// observe starts an observer for the time of the test.
func observe(t *testing.T, sandbox *cluster.Cluster) *observer {
	t.Helper()
	config, err := sandbox.Config()
	must(t, err)
	log.SetLogger(logr.Discard()) // of watches that end and begin again
	scheme := runtime.NewScheme()
	must(t, errors.Join(clientgoscheme.AddToScheme(scheme), v1.AddToScheme(scheme)))
	o := &observer{sandbox: sandbox, changed: make(chan struct{})}
	o.kube, err = client.New(config, client.Options{Scheme: scheme})
	must(t, err)
	shared := true
	o.seen, err = cache.New(config, cache.Options{Scheme: scheme, DefaultUnsafeDisableDeepCopy: &shared})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	running.Go(func() { _ = o.seen.Start(ctx) }) // ends with ctx
	for _, object := range []client.Object{&corev1.Pod{}, &v1.IP{}, &v1.Subnet{}, &coordinationv1.Lease{}} {
		informer, err := o.seen.GetInformer(ctx, object)
		must(t, err)
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { o.bump() }, UpdateFunc: func(any, any) { o.bump() }, DeleteFunc: func(any) { o.bump() },
		})
		must(t, err)
	}
	for _, node := range sandbox.Nodes() {
		m, err := sandbox.Machine(node)
		must(t, err)
		must(t, o.observeLinks(ctx, m))
		must(t, o.observeNamespaces(ctx, &running, m))
	}
	return o
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bump wakes those who wait for an event.
func (o *observer) bump() {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *observer) next() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

// until asks again after each event what is missing, and returns when nothing is.
func (o *observer) until(ctx context.Context, missing func() string) error {
	for {
		changed := o.next()
		what := missing()
		if what == "" {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", context.Cause(ctx), what)
		}
	}
}

// within is until with a deadline.
func (o *observer) within(t *testing.T, limit time.Duration, what string, missing func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("%s: not after %v", what, limit))
	defer cancel()
	must(t, o.until(ctx, missing))
}

func (o *observer) observeLinks(ctx context.Context, m *machine.Machine) error {
	ns, err := netns.GetFromPath(m.NetNS())
	if err != nil {
		return err
	}
	defer ns.Close()
	updates := make(chan netlink.LinkUpdate)
	if err := netlink.LinkSubscribeWithOptions(updates, ctx.Done(), netlink.LinkSubscribeOptions{Namespace: &ns}); err != nil {
		return fmt.Errorf("%s: follow links: %w", m.Config.Name, err)
	}
	go func() {
		for range updates { // closed after ctx ends
			o.bump()
		}
	}()
	return nil
}

// observeNamespaces follows the folder with the namespaces of Pods (inotify(7)).
func (o *observer) observeNamespaces(ctx context.Context, running *sync.WaitGroup, m *machine.Machine) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return err
	}
	events := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, m.Path(netnsDir), unix.IN_CREATE|unix.IN_DELETE); err != nil {
		return errors.Join(fmt.Errorf("%s: follow %s: %w", m.Config.Name, netnsDir, err), events.Close())
	}
	context.AfterFunc(ctx, func() { _ = events.Close() })
	running.Go(func() {
		buffer := make([]byte, 64<<10)
		for {
			if _, err := events.Read(buffer); err != nil {
				return
			}
			o.bump()
		}
	})
	return nil
}

// pods are those of a namespace, as last seen.
func (o *observer) pods(t *testing.T, namespace string) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	must(t, o.seen.List(t.Context(), &list, client.InNamespace(namespace)))
	return list.Items
}

// agree waits until the audit finds nothing, and fails with what it found last. What took long is logged.
func (o *observer) agree(t *testing.T, limit time.Duration) {
	t.Helper()
	began, last := time.Now(), ""
	o.within(t, limit, "the cluster agrees with itself", func() string {
		w, err := readWorld(t.Context(), o.sandbox, o.kube)
		if err != nil {
			return err.Error()
		}
		found := strings.Join(w.audit(), "\n")
		if found == "" && time.Since(began) > agreeSoon {
			t.Logf("agrees only after %.1f s; last was\n%s", time.Since(began).Seconds(), last)
		}
		last = found
		return found
	})
}

// agreeSoon is what coming to rest may take without mention.
const agreeSoon = 10 * time.Second
