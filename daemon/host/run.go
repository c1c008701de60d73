package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// Passes follow each other at most so fast: another agent that undoes what we do must not cost a core. A burst, such as the
// events of our own operations, is not slowed down.
const (
	passesPerSecond = 10
	passesAtOnce    = 40
)

// A failed pass is tried again after a time that doubles up to the longest.
const (
	firstRetry   = 100 * time.Millisecond
	longestRetry = 15 * time.Second
)

// Run keeps the node as wanted until ctx ends, and leaves everything in place then: traffic goes on without the daemon.
// The error says that the kernel cannot be watched.
func (h *Host) Run(ctx context.Context) error {
	w, err := openWatcher()
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	defer w.close()
	k, err := openKernel(h.cfg.OVS)
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	defer k.close()
	return h.loop(ctx, k, w)
}

func (h *Host) loop(ctx context.Context, k *kernel, w *watcher) error {
	limit := rate.NewLimiter(passesPerSecond, passesAtOnce)
	retry := time.NewTimer(0)
	defer retry.Stop()
	delay := firstRetry
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.failed:
			return fmt.Errorf("host: %w", err)
		case <-h.updated:
		case <-w.dirty:
		case <-h.cfg.OVS.Changed():
		case <-retry.C:
		}
		if limit.Wait(ctx) != nil {
			return nil
		}
		retry.Stop()
		if h.pass(ctx, k, w) == nil {
			delay = firstRetry
			continue
		}
		retry.Reset(delay)
		delay = min(2*delay, longestRetry)
	}
}

// pass makes the node as wanted, once.
func (h *Host) pass(ctx context.Context, k *kernel, w *watcher) error {
	if w.nft.Swap(false) {
		k.tables = nil
	}
	h.mu.Lock()
	in := h.input
	h.mu.Unlock()

	want, p, err := h.plan(ctx, k, w, in)
	err = errors.Join(err, k.apply(ctx, p))
	if k.flows.end(err) {
		w.mark()
	}
	if ctx.Err() == nil { // else the error is our own end
		h.tell(want, p, err)
	}
	return err
}

// plan looks at the node. The plan is usable with an error too: OVS may be out of reach, and routes must still come back.
func (h *Host) plan(ctx context.Context, k *kernel, w *watcher, in *Input) (Desired, Plan, error) {
	f, err := k.facts(ctx, h.cfg, h.uplink)
	if err != nil {
		return Desired{}, Plan{}, err
	}
	h.uplink = f.Uplink
	want := Compile(h.cfg, in, f)
	w.relevant.Store(k.relevance(want, f.Uplink)) // before we look, so that no change falls between
	have, err := k.observe(ctx, want)
	if err != nil {
		return want, Plan{}, err
	}
	return want, MakePlan(have, want), have.OVS
}

// tell keeps what Ready says, and reports and logs what was done.
func (h *Host) tell(want Desired, p Plan, err error) {
	r := Report{
		Operations: p.Operations(), Problems: slices.Concat(want.Problems, p.Problems),
		Waiting: slices.Concat(want.Waiting, p.Waiting), Err: err,
	}
	ready := err
	for _, reason := range r.Waiting {
		ready = errors.Join(ready, errors.New("host: "+reason))
	}
	h.mu.Lock()
	h.ready = ready
	h.mu.Unlock()

	for _, op := range r.Operations {
		h.cfg.Log.Info("host", "operation", op)
	}
	if err != nil {
		h.cfg.Log.Error(err, "host: will be tried again")
	}
	h.logProblems(r.Problems)
	if h.cfg.Report != nil {
		h.cfg.Report(r)
	}
}

// logProblems logs those that were not there at the last pass.
func (h *Host) logProblems(now []string) {
	seen := make(map[string]bool, len(now))
	for _, p := range now {
		seen[p] = true
		if !h.problems[p] {
			h.cfg.Log.Info("host: problem", "problem", p)
		}
	}
	h.problems = seen
}
