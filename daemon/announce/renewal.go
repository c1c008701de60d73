package announce

import (
	"context"
	"time"
)

// renewal writes the Lease beside the loop, which must not wait for the API server.
type renewal struct {
	todo chan attempt
	done chan attempt
	over chan struct{}

	busy bool
	next time.Time // when the next attempt is due; zero = none is
}

// attempt is one attempt to write the Lease.
type attempt struct {
	held     bool
	patience time.Duration
	began    time.Time
	err      error
}

func newRenewal(ctx context.Context, renew func(context.Context, bool, time.Duration) error) renewal {
	r := renewal{todo: make(chan attempt, 1), done: make(chan attempt, 1), over: make(chan struct{})}
	go func() {
		defer close(r.over)
		for a := range r.todo {
			a.began = time.Now()
			ctx, cancel := context.WithTimeout(ctx, renewTimeout)
			a.err = renew(ctx, a.held, a.patience)
			cancel()
			r.done <- a
		}
	}()
	return r
}

// start begins an attempt, unless one is under way or none is due.
func (r *renewal) start(now time.Time, held bool, patience time.Duration) {
	if r.busy || now.Before(r.next) {
		return
	}
	r.busy = true
	r.todo <- attempt{held: held, patience: patience}
}

func (r *renewal) finished(a attempt) {
	r.busy = false
	r.next = a.began.Add(renewEvery)
	if a.err != nil {
		r.next = time.Now().Add(renewAgain)
	}
}

// end waits for the attempt that is under way.
func (r *renewal) end() {
	close(r.todo)
	<-r.over
}
