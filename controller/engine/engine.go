package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
)

// Result is what became of one owner.
type Result struct {
	Owner nb.Owner
	// Rows counts the rows that the database now holds for the owner. It is valid when Blocked is nil.
	Rows int
	// Problems are what a user must mend.
	Problems []compile.Problem
	// Blocked tells why the owner is not applied; nil when the database agrees with what it wants.
	Blocked *compile.Problem
}

// Sink is told what became of owners, in the engine's goroutine: it must not block.
type Sink interface {
	// Done reports owners after their transaction has committed.
	Done([]Result)
	// Synced reports that the database agrees with the state, or that it is not known to any more.
	Synced(bool)
	// Held reports what a first pass holds back, which may be nothing, and once more with nothing when that is released. It
	// returns the owners whose ports contradict what Kubernetes records: these need not be believed, they are removed.
	Held(Held) (refuted []nb.Owner)
}

// Config says how an Engine works; the zero value of each number means its default.
type Config struct {
	Store *state.Store
	Sink  Sink
	// Dial connects to the northbound database.
	Dial func(context.Context) (*nb.Conn, error)
	Log  logr.Logger
	// Compile says what an owner wants, compile.Owner when it is nil.
	Compile func(*state.View, nb.Owner) compile.Output
	// Batch is the number of owners of a transaction, 100; beyond it a transaction gains nothing and the server's memory grows.
	Batch int
	// Rate and Burst bound transactions that are not full, 10 a second and 10: a change that comes alone commits at once, a stream
	// of them shares transactions.
	Rate  float64
	Burst int
	// Audit is the time between full comparisons, 10 minutes.
	Audit time.Duration
}

// Engine applies the state to the northbound database.
type Engine struct {
	cfg     Config
	release chan struct{}
	// held are the owners whose removal waits for Release.
	held  map[nb.Owner]bool
	stats Stats
}

// New returns an engine that is not running.
func New(cfg Config) *Engine {
	if cfg.Batch == 0 {
		cfg.Batch = 100
	}
	if cfg.Rate == 0 {
		cfg.Rate, cfg.Burst = 10, 10
	}
	if cfg.Compile == nil {
		cfg.Compile = compile.Owner
	}
	if cfg.Audit == 0 {
		cfg.Audit = 10 * time.Minute
	}
	return &Engine{cfg: cfg, release: make(chan struct{}, 1), held: make(map[nb.Owner]bool)}
}

// Release lets the deletions go that the first pass held back.
func (e *Engine) Release() {
	select {
	case e.release <- struct{}{}:
	default:
	}
}

// retryDelays are the pauses before connecting again.
const minRetry, maxRetry = 100 * time.Millisecond, 5 * time.Second

// Run works until ctx ends, or until another leader takes the database over (nb.ErrFenced). The state must hold all of the
// cluster before: what it lacks is removed.
func (e *Engine) Run(ctx context.Context) error {
	delay := minRetry
	for ctx.Err() == nil {
		started := time.Now()
		err := e.connect(ctx)
		e.cfg.Sink.Synced(false)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // being told to stop is no failure, whatever it interrupts
		}
		if errors.Is(err, nb.ErrFenced) {
			return err
		}
		e.cfg.Log.Error(err, "Lost the northbound database; connecting again", "after", time.Since(started).String())
		if time.Since(started) > maxRetry {
			delay = minRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		delay = min(2*delay, maxRetry)
	}
	return nil
}

// connect runs one session from dialling to the loss of the connection.
func (e *Engine) connect(ctx context.Context) error {
	conn, err := e.cfg.Dial(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := make(chan error, 1)
	go func() { watch <- conn.Run(ctx) }()
	err = newSession(e, conn).run(ctx)
	cancel()
	if lost := <-watch; err == nil {
		err = lost
	}
	if err == nil {
		err = fmt.Errorf("northbound database: connection closed")
	}
	return err
}
