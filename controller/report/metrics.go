package report

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/heddle-net/heddle/controller/engine"
	"github.com/heddle-net/heddle/controller/state"
)

var (
	syncedGauge = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "heddle_northbound_synced", Help: "1 while the northbound database agrees with Kubernetes.",
	})
	heldGauge = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "heddle_held_removals", Help: "Rows that the first pass wanted to remove, too many to be believed; they stay until released.",
	})
	// programmingSeconds has the buckets of what kube-proxy measures (kubeproxy_network_programming_duration_seconds), up to
	// where Heddle's part ends.
	programmingSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "heddle_service_programming_seconds",
		Help:    "Time from the change of an endpoint, as its EndpointSlice says, until the northbound database has it.",
		Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60},
	})
)

// Register adds Heddle's metrics to those that controller-runtime serves.
func Register(e *engine.Engine, store *state.Store) {
	stats := e.Stats()
	metrics.Registry.MustRegister(syncedGauge, heldGauge, programmingSeconds,
		counter("heddle_owners_compiled_total", "Owners compiled.", stats.Compiled.Load),
		counter("heddle_northbound_transactions_total", "Transactions sent to the northbound database.", stats.Transactions.Load),
		counter("heddle_northbound_operations_total", "Operations in transactions sent to the northbound database.", stats.Operations.Load),
		counter("heddle_drift_repaired_total", "Rows repaired that differed although no event explains it.", stats.DriftRepaired.Load),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "heddle_owners_waiting", Help: "Owners that wait to be compiled."},
			func() float64 { return float64(store.Waiting()) }),
	)
}

func counter(name, help string, read func() uint64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(read()) })
}
