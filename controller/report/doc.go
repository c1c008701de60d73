// Package report turns what became of owners into what people see: conditions, Events, metrics.
//
//	board.go      the engine's Sink: remembers outcomes and tells the reconcilers that show them
//	condition.go  conditions in the form that Kube-OVN's users know
//	metrics.go    Prometheus metrics, next to controller-runtime's own; latency.go: how long changes of endpoints take
//
// The board keeps counts of rows for everything but Pods, and blocked Pods; it is filled again by the engine's first pass
// after a restart.
package report
