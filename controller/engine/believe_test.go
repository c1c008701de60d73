package engine

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// TestWhatIsBelieved shows how many removals a first pass believes: 100 rows, or a fifth of ours.
func TestWhatIsBelieved(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	for _, c := range []struct {
		pods, gone int
		held       bool
	}{{150, 100, false}, {150, 101, true}, {800, 161, false}, {800, 165, true}} { // beside the Pods' there are 11 rows
		g := newRig(t, server)
		g.session.letGo()
		g.events(cluster(c.pods))
		g.drain()
		if total := g.session.conn.Size(); total != c.pods+11 {
			t.Fatalf("%d rows for %d Pods", total, c.pods)
		}
		for i := range c.gone {
			g.events([]event{remove(putPod(i, 1))})
		}
		g.restart()
		if held := g.held.Removals > 0; held != c.held {
			t.Errorf("%d of %d Pods gone: held is %v", c.gone, c.pods, held)
		}
		g.session.conn.Close()
	}
}

// TestAuditComesAround shows that everything is compared again although nothing happens.
func TestAuditComesAround(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	w := newWatcher()
	e := New(Config{Store: filled(3), Sink: w, Log: logr.Discard(), Audit: 20 * time.Millisecond, Dial: func(ctx context.Context) (*nb.Conn, error) {
		return nb.Dial(ctx, nb.Config{Endpoints: []string{server.Endpoint}, Log: logr.Discard()})
	}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	deadline := time.After(30 * time.Second)
	for seen := 0; seen < 3; { // the first time it is made, or found to agree
		select {
		case owner := <-w.done:
			if owner == (nb.Owner{Kind: state.KindPod, Key: "default/p1"}) {
				seen++
			}
		case <-deadline:
			t.Fatalf("p1 was compared %d times", seen)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
