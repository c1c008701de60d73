package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// watcher is a Sink that tests can wait on.
type watcher struct {
	synced chan bool
	done   chan nb.Owner
}

func newWatcher() *watcher {
	return &watcher{synced: make(chan bool, 100), done: make(chan nb.Owner, 10000)}
}

func (w *watcher) Synced(ok bool)       { w.synced <- ok }
func (w *watcher) Held(Held) []nb.Owner { return nil }
func (w *watcher) Done(results []Result) {
	for _, r := range results {
		w.done <- r.Owner
	}
}

func (w *watcher) await(t *testing.T, want bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case got := <-w.synced:
			if got == want {
				return
			}
		case <-deadline:
			t.Fatalf("the engine did not become synced=%v", want)
		}
	}
}

// running starts an engine in the background and returns how to stop it.
func running(t *testing.T, server *ovstest.Server, store *state.Store, w *watcher) (*Engine, func() error) {
	t.Helper()
	e := New(Config{Store: store, Sink: w, Log: logr.Discard(), Dial: func(ctx context.Context) (*nb.Conn, error) {
		return nb.Dial(ctx, nb.Config{Endpoints: []string{server.Endpoint}, Log: logr.Discard(), Timeout: 2 * time.Second})
	}})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- e.Run(ctx) }()
	return e, func() error {
		cancel()
		return <-result
	}
}

func filled(n int) *state.Store {
	store := state.New(testConfig)
	for _, e := range cluster(n) {
		e.apply(store)
	}
	return store
}

// TestRunSurvivesTheDatabase kills the server, freezes it, and replaces its files by empty ones.
func TestRunSurvivesTheDatabase(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	store, w := filled(20), newWatcher()
	e, stop := running(t, server, store, w)
	w.await(t, true)
	operations := e.Stats().Operations.Load()

	server.Kill()
	w.await(t, false)
	server.Start()
	w.await(t, true)
	if n := e.Stats().Operations.Load(); n != operations {
		t.Errorf("a restarted server cost %d operations", n-operations)
	}

	server.Kill()
	putPod(99, 1).apply(store) // while nobody listens
	putIP("p99.default", "s1", 1, 99).apply(store)
	server.Recreate(ovstest.NorthboundSchema)
	w.await(t, true)
	if ports := server.Nbctl("lsp-list", "s1"); strings.Count(ports, "\n") != 22 || !strings.Contains(ports, "p99.default") {
		t.Errorf("after the loss of its files the database has these ports: %s", ports)
	}

	server.Freeze()
	putPod(98, 1).apply(store)
	putIP("p98.default", "s1", 1, 98).apply(store)
	w.await(t, false) // the deadline of a call, not the closing of the connection, finds it out
	server.Thaw()
	w.await(t, true)
	if ports := server.Nbctl("lsp-list", "s1"); !strings.Contains(ports, "p98.default") {
		t.Errorf("after the freeze these ports are there: %s", ports)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestRunEndsWhenDeposed shows that of two leaders the older one ends, and writes nothing.
func TestRunEndsWhenDeposed(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	oldStore, oldWatcher := filled(5), newWatcher()
	old := New(Config{Store: oldStore, Sink: oldWatcher, Log: logr.Discard(), Dial: func(ctx context.Context) (*nb.Conn, error) {
		return nb.Dial(ctx, nb.Config{Endpoints: []string{server.Endpoint}, Log: logr.Discard()})
	}})
	result := make(chan error, 1)
	go func() { result <- old.Run(t.Context()) }()
	oldWatcher.await(t, true)

	youngWatcher := newWatcher()
	_, stop := running(t, server, filled(5), youngWatcher)
	youngWatcher.await(t, true)
	putPod(50, 1).apply(oldStore)
	putIP("p50.default", "s1", 1, 50).apply(oldStore)
	if err := <-result; !errors.Is(err, nb.ErrFenced) {
		t.Errorf("the deposed leader ended with %v", err)
	}
	if ports := server.Nbctl("lsp-list", "s1"); strings.Contains(ports, "p50") {
		t.Error("the deposed leader has written")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestStreamSharesTransactions shows that changes that come one by one, but fast, do not cost a transaction each.
func TestStreamSharesTransactions(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	store, w := filled(0), newWatcher()
	e, stop := running(t, server, store, w)
	w.await(t, true)
	before := e.Stats().Transactions.Load()
	const pods = 1000
	name := func(i int) string { return fmt.Sprintf("stream-%d", i) }
	for i := range pods {
		putIP(state.PodPort("default", name(i)), "s1", 1, i%250).apply(store)
		store.Pods.Put("default/"+name(i), &state.Pod{Namespace: "default", Name: name(i), UID: "u", Node: "n1"})
	}
	last := nb.Owner{Kind: state.KindPod, Key: "default/" + name(pods-1)}
	for owner := range w.done {
		if owner == last {
			break
		}
	}
	if n := e.Stats().Transactions.Load() - before; n > pods/10 {
		t.Errorf("%d Pods in a stream took %d transactions", pods, n)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
