package engine

import (
	"sync/atomic"

	"github.com/heddle-net/heddle/ovs/nb"
)

// Stats count the work of an engine since it was made. Tests assert them: cost is behaviour.
type Stats struct {
	Compiled      atomic.Uint64 // owners compiled
	Transactions  atomic.Uint64 // transactions sent and answered
	Operations    atomic.Uint64 // operations in them
	DriftRepaired atomic.Uint64 // rows that differed without an event
}

// Stats returns the counters; they go on counting.
func (e *Engine) Stats() *Stats { return &e.stats }

func (s *Stats) commit(txn nb.Txn) {
	if txn.Empty() {
		return
	}
	s.Transactions.Add(1)
	s.Operations.Add(uint64(len(txn.Ops)))
}
