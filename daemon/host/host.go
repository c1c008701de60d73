package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Host keeps the node's network as wanted. Make it with New.
type Host struct {
	cfg Config

	mu    sync.Mutex
	input *Input // nil before the first Update
	ready error

	updated chan struct{}

	// Of Run's goroutine.
	uplink   *Uplink         // as the last pass knew it
	problems map[string]bool // that were logged
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

// Teardown takes back everything that this package made, for an uninstall: the uplink gets its addresses and routes back
// from br-phy, and ovn0, br-int, the routes and the tables go. Sysctls stay: who else relies on forwarding by now cannot be
// known. Run must not run. It may be repeated after a failure, and when it was killed.
func (h *Host) Teardown(ctx context.Context) error {
	k, err := openKernel(h.cfg.OVS)
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	defer k.close()
	f, err := k.facts(ctx, h.cfg, nil)
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	want := CompileTeardown(f)
	have, err := k.observe(ctx, want)
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	p := MakePlan(have, want)
	err = errors.Join(have.OVS, k.apply(ctx, p))
	h.tell(want, p, err)
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	return h.Ready()
}
