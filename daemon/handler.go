package daemon

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/heddle-net/heddle/cni/api"
	"github.com/heddle-net/heddle/daemon/port"
)

// metrics of the CNI path, and of what is answered for. The buckets span a warm ADD (15 ms) to one that waits for an address (a minute).
type metrics struct {
	operations *prometheus.HistogramVec
	parts      *prometheus.HistogramVec
	answered   *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	buckets := []float64{.001, .0025, .005, .01, .02, .035, .05, .1, .2, .5, 1, 2.5, 5, 10, 30, 60}
	m := &metrics{
		operations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "heddle_cni_operation_seconds", Buckets: buckets,
			Help: "Time from a CNI request to its response, by command and CNI error code (0 = success).",
		}, []string{"command", "code"}),
		parts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "heddle_cni_part_seconds", Buckets: buckets,
			Help: "Time of each part of a CNI operation; netns runs beside ovsdb and ovn-installed.",
		}, []string{"command", "part"}),
		answered: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "heddle_l2_addresses", Help: "Addresses of Services of type LoadBalancer that this node answers for, by family.",
		}, []string{"family"}),
	}
	r.MustRegister(m.operations, m.parts, m.answered)
	return m
}

func (m *metrics) part(command, part string, took time.Duration) {
	m.parts.WithLabelValues(command, part).Observe(took.Seconds())
}

func (m *metrics) answering(v4, v6 int) {
	m.answered.WithLabelValues("IPv4").Set(float64(v4))
	m.answered.WithLabelValues("IPv6").Set(float64(v6))
}

func (m *metrics) operation(command string, err error, took time.Duration) {
	code := uint(0)
	if err != nil {
		code = api.AsError(err).Code
	}
	m.operations.WithLabelValues(command, strconv.FormatUint(uint64(code), 10)).Observe(took.Seconds())
}

// handler does the verbs. STATUS succeeds while ready is nil.
func handler(m *port.Manager, ready func() error, observed *metrics) Handler {
	verbs := map[string]Handler{
		api.Add:   m.Add,
		api.Del:   silent(m.Del),
		api.Check: silent(m.Check),
		api.GC:    silent(m.GC),
		api.Status: func(context.Context, *api.Request) (*api.Result, error) {
			if err := ready(); err != nil {
				return nil, api.Errorf(api.CodeNotAvailable, "this node's network is not ready: %v", err)
			}
			return nil, nil
		},
	}
	return func(ctx context.Context, r *api.Request) (*api.Result, error) {
		start := time.Now()
		result, err := verbs[r.Command](ctx, r)
		observed.operation(r.Command, err, time.Since(start))
		return result, err
	}
}

func silent(verb func(context.Context, *api.Request) error) Handler {
	return func(ctx context.Context, r *api.Request) (*api.Result, error) { return nil, verb(ctx, r) }
}
