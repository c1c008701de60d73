package controller

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/heddle-net/heddle/controller/decide"
	"github.com/heddle-net/heddle/controller/engine"
	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/report"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/crds/heddle"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/sb"
)

// sbTimeout bounds the removal of a Chassis.
const sbTimeout = 10 * time.Second

// controller is the wiring.
type controller struct {
	cfg      Config
	mgr      manager.Manager
	store    *state.Store
	board    *report.Board
	engine   *engine.Engine
	deciders *decide.Deciders
	served   feed.Served
	loaded   chan struct{} // closed when the leader knows the cluster
}

// Run works until ctx ends, or until it cannot go on: another controller leads, or has taken over the database. A
// controller that does not lead keeps its caches warm.
func Run(ctx context.Context, cfg Config) error {
	stateConfig, err := cfg.stateConfig()
	if err != nil {
		return err
	}
	mgr, err := newManager(cfg)
	if err != nil {
		return err
	}
	c := &controller{
		cfg: cfg, mgr: mgr, store: state.New(stateConfig), board: report.NewBoard(), loaded: make(chan struct{}),
	}
	c.engine = engine.New(engine.Config{Store: c.store, Sink: c.board, Dial: c.dialNorthbound, Log: cfg.Log.WithName("engine")})
	c.deciders = decide.New(mgr, decide.Config{Store: c.store, Board: c.board, RemoveChassis: c.removeChassis})
	report.Register(c.engine, c.store)
	c.board.Applied = report.NewLatency(c.store).Applied
	if cfg.ReleaseHeldRemovals {
		c.engine.Release()
	}
	if c.served, err = feed.ServedBy(mgr.GetRESTMapper()); err != nil {
		return err
	}
	if err := c.deciders.Setup(c.loaded, c.served); err != nil {
		return err
	}
	if err := mgr.Add(manager.RunnableFunc(c.lead)); err != nil {
		return fmt.Errorf("add the engine: %w", err)
	}
	if err := c.addChecks(); err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}

func newManager(cfg Config) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1.AddToScheme, heddle.AddToScheme, v1alpha1.Install, v1alpha2.Install} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("scheme: %w", err)
		}
	}
	api := *cfg.REST
	api.QPS = -1 // the API server's priority and fairness is the limit
	lock, err := leaderLock(cfg, &api)
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(&api, manager.Options{
		Scheme: scheme, Logger: cfg.Log,
		Cache:          cache.Options{DefaultTransform: feed.Trim},
		Client:         client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&discoveryv1.EndpointSlice{}}}},
		LeaderElection: cfg.LeaderElect, LeaderElectionID: leaseName, LeaderElectionNamespace: cfg.LeaderElectionNamespace,
		LeaderElectionReleaseOnCancel: true, LeaderElectionResourceLockInterface: lock,
		Metrics:                metricsserver.Options{BindAddress: cfg.MetricsAddr},
		HealthProbeBindAddress: cfg.HealthAddr,
	})
	if err != nil {
		return nil, fmt.Errorf("set up the manager: %w", err)
	}
	return mgr, nil
}

// leaseName is the Lease that the leader holds.
const leaseName = "heddle-controller"

// leaderLock is nil unless the identity is given: controller-runtime makes up another one for each process.
func leaderLock(cfg Config, api *rest.Config) (resourcelock.Interface, error) {
	if cfg.LeaderElectionIdentity == "" {
		return nil, nil
	}
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, cfg.LeaderElectionNamespace, leaseName,
		resourcelock.ResourceLockConfig{Identity: cfg.LeaderElectionIdentity}, api, renewDeadline)
	if err != nil {
		return nil, fmt.Errorf("set up the lease: %w", err)
	}
	return lock, nil
}

// renewDeadline is controller-runtime's default.
const renewDeadline = 10 * time.Second

// lead runs on the leader only: create the defaults, know the cluster, hold the addresses that are in use, then let the
// deciders and the engine work.
func (c *controller) lead(ctx context.Context) error {
	if err := decide.Bootstrap(ctx, c.mgr.GetClient(), c.cfg.Defaults); err != nil {
		return err
	}
	if !c.served.ServiceCIDRs {
		c.cfg.Log.Info("the API server has no ServiceCIDRs, so Services are where the flag says", "service-cidr", c.cfg.ServiceCIDR)
	}
	if !c.served.AdminPolicies || !c.served.BaselinePolicies || !c.served.ClusterPolicies {
		c.cfg.Log.Info("the API server lacks kinds of policy.networking.k8s.io; if they are installed later, start the controller again", "served", c.served)
	}
	if err := feed.Start(ctx, c.mgr.GetCache(), c.store, c.served); err != nil {
		return err
	}
	if err := c.deciders.Load(ctx); err != nil {
		return err
	}
	close(c.loaded)
	return c.engine.Run(ctx)
}

func (c *controller) dialNorthbound(ctx context.Context) (*nb.Conn, error) {
	endpoints, err := c.cfg.Northbound.endpoints(ctx, c.mgr.GetAPIReader())
	if err != nil {
		return nil, err
	}
	tls, err := c.cfg.Northbound.tls()
	if err != nil {
		return nil, err
	}
	return nb.Dial(ctx, nb.Config{Endpoints: endpoints, TLS: tls, Log: c.cfg.Log.WithName("northbound")})
}

func (c *controller) removeChassis(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, sbTimeout)
	defer cancel()
	endpoints, err := c.cfg.Southbound.endpoints(ctx, c.mgr.GetAPIReader())
	if err != nil {
		return err
	}
	tls, err := c.cfg.Southbound.tls()
	if err != nil {
		return err
	}
	return sb.RemoveChassis(ctx, sb.Config{Endpoints: endpoints, TLS: tls}, node)
}

// addChecks tells the truth: alive is a process that answers, ready is one whose database agrees with Kubernetes, or one
// that does not lead and stands by.
func (c *controller) addChecks() error {
	if err := c.mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("health check: %w", err)
	}
	return c.mgr.AddReadyzCheck("northbound", func(*http.Request) error {
		select {
		case <-c.mgr.Elected():
		default:
			return nil
		}
		if !c.board.Ready() {
			return fmt.Errorf("the northbound database does not agree with Kubernetes yet")
		}
		return nil
	})
}
