package dns

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// Config is what a Gate needs.
type Config struct {
	Servers []netip.Addr // whose answers count
	// Hold is asked once for each answer with addresses. The answer goes on when the channel is closed, at once when it is nil.
	// It must not block: all answers wait for it.
	Hold  func(Record) <-chan struct{}
	Limit time.Duration // an answer is held no longer than this
	Log   logr.Logger
}

// Gate holds answers back. Make it with New.
type Gate struct {
	cfg     Config
	changed chan struct{} // one value: links is to be looked at

	mu      sync.Mutex
	links   []string
	waiting []chan struct{} // who is told that links has been looked at
}

// New makes a Gate; nothing is touched before Run.
func New(cfg Config) *Gate {
	return &Gate{cfg: cfg, changed: make(chan struct{}, 1)}
}

// SetLinks says which links are the host ends of Pods whose answers are looked at. They may come and go. The channel is closed when the Gate
// does so for those that are there; with none, when nothing of the Gate is left on the node.
func (g *Gate) SetLinks(names []string) <-chan struct{} {
	done := make(chan struct{})
	g.mu.Lock()
	g.links, g.waiting = slices.Clone(names), append(g.waiting, done)
	g.mu.Unlock()
	g.wake()
	return done
}

func (g *Gate) wake() {
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

func (g *Gate) take() (links []string, waiting []chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	waiting, g.waiting = g.waiting, nil
	return g.links, waiting
}

// Run works until ctx is done; then held answers go on, and nothing is left on the node. The same after an error: it can be run again.
func (g *Gate) Run(ctx context.Context) (err error) {
	var w *watch
	defer func() { err = errors.Join(err, w.close()) }()
	g.wake()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-g.changed:
			w, err = g.follow(w)
		case u, ok := <-w.events():
			err = w.see(u, ok)
		case err = <-w.failures():
		}
		if err != nil {
			return err
		}
	}
}

// follow does what SetLinks asks for.
func (g *Gate) follow(w *watch) (*watch, error) {
	links, waiting := g.take()
	var err error
	switch {
	case len(links) == 0 || len(g.cfg.Servers) == 0:
		err = w.close()
		w = nil
	case w == nil:
		if w, err = open(g.cfg); err != nil {
			break
		}
		fallthrough
	default:
		w.wanted = links
		err = w.hook()
	}
	if err != nil {
		g.again(waiting)
		return w, err
	}
	for _, done := range waiting {
		close(done)
	}
	return w, nil
}

// again makes those wait for the next Run who were not served.
func (g *Gate) again(waiting []chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(waiting, g.waiting...)
}
