package report

import (
	"sync"
	"sync/atomic"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/engine"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
)

// Outcome is what became of an owner, as far as it is known.
type Outcome struct {
	Rows     int
	Problems []compile.Problem
	// Blocked says in a sentence why the database does not agree, and Reason in one word; empty when it does.
	Blocked string
	Reason  string
}

// Board is the engine's Sink. Its listeners are set before the engine runs.
type Board struct {
	// Gone is told of owners that have no rows (any more).
	Gone func(nb.Owner)
	// Changed is told of owners other than Pods with a new outcome, of Pods that are blocked or have problems, and of SwitchLBRules whenever they are
	// applied: what they need to be decided may have changed.
	Changed func(nb.Owner)
	// Keep is told of the ports whose removal is held back, none when there are none (any more), and returns the owners of
	// those that contradict what Kubernetes records.
	Keep func([]engine.Port) (refuted []nb.Owner)
	// Applied is told of Services that the northbound database now agrees with.
	Applied func(service string)

	synced    atomic.Bool
	compared  chan struct{}
	comparing sync.Once
	mu        sync.Mutex
	known     map[nb.Owner]Outcome
}

var _ engine.Sink = (*Board)(nil)

// NewBoard returns an empty board without listeners.
func NewBoard() *Board {
	return &Board{
		known: make(map[nb.Owner]Outcome), compared: make(chan struct{}),
		Gone: func(nb.Owner) {}, Changed: func(nb.Owner) {}, Keep: func([]engine.Port) []nb.Owner { return nil }, Applied: func(string) {},
	}
}

// Outcome returns what is known of an owner; the zero Outcome for one that is not, or not yet, applied.
func (b *Board) Outcome(owner nb.Owner) Outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known[owner]
}

// Ready tells whether the northbound database agrees with Kubernetes.
func (b *Board) Ready() bool { return b.synced.Load() }

// Done implements engine.Sink.
func (b *Board) Done(results []engine.Result) {
	for _, r := range results {
		if b.put(r) || r.Owner.Kind == state.KindSwitchLBRule {
			b.Changed(r.Owner)
		}
		if r.Blocked == nil && r.Rows == 0 {
			b.Gone(r.Owner)
		}
		if r.Blocked == nil && r.Owner.Kind == state.KindService {
			b.Applied(r.Owner.Key)
		}
	}
}

// put remembers a result and reports whether it is news.
func (b *Board) put(r engine.Result) bool {
	now := Outcome{Rows: r.Rows, Problems: r.Problems}
	if r.Blocked != nil {
		now = Outcome{Problems: r.Problems, Blocked: r.Blocked.Text, Reason: r.Blocked.Reason}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old, had := b.known[r.Owner]
	plainPod := r.Owner.Kind == state.KindPod && r.Blocked == nil && len(r.Problems) == 0
	if plainPod || now.equal(Outcome{}) {
		delete(b.known, r.Owner)
		return had
	}
	b.known[r.Owner] = now
	return !now.equal(old)
}

func (o Outcome) equal(p Outcome) bool {
	if o.Rows != p.Rows || o.Blocked != p.Blocked || o.Reason != p.Reason || len(o.Problems) != len(p.Problems) {
		return false
	}
	for i := range o.Problems {
		if o.Problems[i] != p.Problems[i] {
			return false
		}
	}
	return true
}

// Synced implements engine.Sink.
func (b *Board) Synced(ok bool) {
	b.synced.Store(ok)
	if ok {
		syncedGauge.Set(1)
	} else {
		syncedGauge.Set(0)
	}
}

// Held implements engine.Sink.
func (b *Board) Held(h engine.Held) (refuted []nb.Owner) {
	heldGauge.Set(float64(h.Removals))
	refuted = b.Keep(h.Ports)
	b.comparing.Do(func() { close(b.compared) })
	return refuted
}

// Compared is closed when the rows of the northbound database have been compared for the first time, so that Keep has heard of
// all addresses in it that no object accounts for.
func (b *Board) Compared() <-chan struct{} { return b.compared }
