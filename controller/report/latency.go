package report

import (
	"time"

	"github.com/heddle-net/heddle/controller/state"
)

// Latency measures how long changes of endpoints take. Applied is called by one goroutine, the engine's.
type Latency struct {
	store *state.Store
	begin time.Time            // what happened before is not ours to answer for
	last  map[string]time.Time // by Service, the change that was measured last
}

// NewLatency measures changes from now on.
func NewLatency(store *state.Store) *Latency {
	return &Latency{store: store, begin: time.Now(), last: make(map[string]time.Time)}
}

// Applied is told that a Service is in the database as the state has it.
func (l *Latency) Applied(service string) {
	var changed time.Time
	l.store.Inspect(func(v *state.View) {
		for _, slice := range v.EndpointSlicesOf(service) {
			if slice.Changed.After(changed) {
				changed = slice.Changed
			}
		}
	})
	switch {
	case changed.IsZero():
		delete(l.last, service)
	case changed.After(l.begin) && changed.After(l.last[service]):
		l.last[service] = changed
		programmingSeconds.Observe(time.Since(changed).Seconds())
	}
}
