package decide

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/report"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
)

// Config is what the deciders need of the rest of the controller.
type Config struct {
	Store *state.Store
	Board *report.Board
	// RemoveChassis removes the Chassis row of a Node that is gone from the southbound database.
	RemoveChassis func(ctx context.Context, node string) error
}

// workers is the number of addresses that are given at a time: each costs two calls to the API server.
const workers = 16

// Deciders are the reconcilers of this package.
type Deciders struct {
	cfg        Config
	mgr        manager.Manager
	ledger     *Ledger
	binding    *binding
	addresses  *Addresses
	subnets    *Subnets
	vpcs       *Vpcs
	namespaces *Namespaces
	services   *Notices
	policies   *Notices

	serviceCIDRs *Notices
	rules        *SwitchLBRules
	groups       *SecurityGroups
	mirrors      *TrafficMirrors

	// clusterPolicyQueues are by the kind of owners.
	clusterPolicyQueues map[string]*inbox

	addressQueue, subnetQueue, vpcQueue, namespaceQueue, serviceQueue, policyQueue, serviceCIDRQueue, ruleQueue, groupQueue, mirrorQueue *inbox
}

// New makes the reconcilers; Load and then Setup bring them to life.
func New(mgr manager.Manager, cfg Config) *Deciders {
	d := &Deciders{
		cfg: cfg, mgr: mgr, addressQueue: newInbox(), subnetQueue: newInbox(), vpcQueue: newInbox(), namespaceQueue: newInbox(), serviceQueue: newInbox(), policyQueue: newInbox(), serviceCIDRQueue: newInbox(), ruleQueue: newInbox(), groupQueue: newInbox(), mirrorQueue: newInbox(),
	}
	d.clusterPolicyQueues = map[string]*inbox{state.KindAdminPolicy: newInbox(), state.KindBaselinePolicy: newInbox(), state.KindClusterPolicy: newInbox()}
	c, recorder := mgr.GetClient(), mgr.GetEventRecorder("heddle-controller")
	qos := &qosNotes{events: recorder, said: make(map[types.UID]string)}
	d.binding = newBinding(c, mgr.GetAPIReader(), cfg.Store.Config().DefaultSubnet)
	d.ledger = newLedger(c, mgr.GetAPIReader(), d.addressUsed, d.addressFreed)
	d.addresses = &Addresses{
		client: c, live: mgr.GetAPIReader(), ledger: d.ledger, binding: d.binding, store: cfg.Store, board: cfg.Board, events: recorder, chassis: cfg.RemoveChassis,
		requeue: d.addressQueue.add, asked: make(map[nb.Owner]reconcile.Request), confirmed: make(map[reconcile.Request]bool), vacating: make(map[reconcile.Request]bool),
		waiting: make(map[string]map[reconcile.Request]bool), said: make(map[reconcile.Request]map[string]string),
		annotated: make(map[reconcile.Request]string), qos: qos,
	}
	d.subnets = &Subnets{
		client: c, ledger: d.ledger, store: cfg.Store, board: cfg.Board, events: recorder, wake: d.addresses.wake,
		written: make(map[string]time.Time), qos: qos,
	}
	status := func(kind string) statuses { return statuses{client: c, events: recorder, kind: kind} }
	d.vpcs = &Vpcs{statuses: status("Vpc"), store: cfg.Store, board: cfg.Board}
	d.namespaces = &Namespaces{client: c, binding: d.binding, qos: qos}
	notices := func(kind string, object func() client.Object) *Notices {
		return &Notices{client: c, board: cfg.Board, events: recorder, kind: kind, object: object, said: make(map[reconcile.Request]string)}
	}
	d.services = notices(state.KindService, func() client.Object { return &corev1.Service{} })
	d.policies = notices(state.KindPolicy, func() client.Object { return &networkingv1.NetworkPolicy{} })
	d.serviceCIDRs = notices(state.KindServiceCIDR, func() client.Object { return &networkingv1.ServiceCIDR{} })
	d.rules = &SwitchLBRules{
		statuses: status("SwitchLBRule"), store: cfg.Store, board: cfg.Board, ask: d.addressQueue.add, needs: make(map[string]map[string]string),
	}
	d.groups = &SecurityGroups{statuses: status("SecurityGroup"), store: cfg.Store, board: cfg.Board}
	d.mirrors = &TrafficMirrors{statuses: status("TrafficMirror"), board: cfg.Board}
	cfg.Board.Gone, cfg.Board.Changed, cfg.Board.Keep = d.addresses.Gone, d.ownerChanged, d.keep
	return d
}

func (d *Deciders) addressUsed(subnet string) { d.subnetQueue.add(named(subnet)) }

func (d *Deciders) addressFreed(subnet string) {
	d.subnetQueue.add(named(subnet))
	d.addresses.wake(subnet)
}

// ownerChanged is told by the board.
func (d *Deciders) ownerChanged(owner nb.Owner) {
	switch owner.Kind {
	case state.KindSubnet:
		d.subnetQueue.add(named(owner.Key))
	case state.KindVpc:
		d.vpcQueue.add(named(owner.Key))
	case state.KindPod, state.KindNode:
		d.addressQueue.add(holderRequest(owner))
	case state.KindServiceCIDR:
		d.serviceCIDRQueue.add(named(owner.Key))
	case state.KindSwitchLBRule:
		d.ruleQueue.add(named(owner.Key))
	case state.KindSecurityGroup:
		d.groupQueue.add(named(owner.Key))
	case state.KindMirror:
		d.mirrorQueue.add(named(owner.Key))
	case state.KindService:
		d.serviceQueue.add(namespaced(owner.Key))
	case state.KindPolicy:
		d.policyQueue.add(namespaced(owner.Key))
	case state.KindAdminPolicy, state.KindBaselinePolicy, state.KindClusterPolicy:
		d.clusterPolicyQueues[owner.Kind].add(named(owner.Key))
	}
}

func namespaced(key string) reconcile.Request {
	namespace, name, _ := strings.Cut(key, "/")
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}

func named(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}

// Load makes the pools and holds what the IP objects record. The state must hold the cluster; no reconciler may run yet.
func (d *Deciders) Load(ctx context.Context) error {
	var list v1.SubnetList
	if err := d.mgr.GetAPIReader().List(ctx, &list); err != nil { // those just created may not be in the cache yet
		return fmt.Errorf("list Subnets: %w", err)
	}
	for i := range list.Items {
		_ = d.subnets.problems(ctx, &list.Items[i]) // they are reported when the Subnet is reconciled
	}
	return d.ledger.load(ctx)
}

// Setup registers the reconcilers with the manager, which starts them once it leads. They wait for loaded; addresses wait until
// it is known which ones the northbound database still has although no object accounts for them.
func (d *Deciders) Setup(loaded <-chan struct{}, served feed.Served) error {
	err := builder.ControllerManagedBy(d.mgr).Named("address").WithOptions(options(workers)).
		For(&corev1.Pod{}, builder.WithPredicates(predicate.NewPredicateFuncs(mayNeedAddress))).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(nodeRequest), builder.WithPredicates(nodePredicate())).
		Watches(&v1.IP{}, d.ipHandler()).
		Watches(&corev1.Service{}, handler.EnqueueRequestsFromMapFunc(balancerRequest), builder.WithPredicates(balancerPredicate())).
		WatchesRawSource(d.addressQueue.source()).
		Complete(after(d.cfg.Board.Compared(), d.addresses))
	if err != nil {
		return fmt.Errorf("set up addresses: %w", err)
	}
	err = builder.ControllerManagedBy(d.mgr).Named("subnet").WithOptions(options(1)).
		For(&v1.Subnet{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, deletion()))).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(d.balancerPools), builder.WithPredicates(addressesChanged())).
		WatchesRawSource(d.subnetQueue.source()).
		Complete(after(loaded, d.subnets))
	if err != nil {
		return fmt.Errorf("set up Subnets: %w", err)
	}
	err = builder.ControllerManagedBy(d.mgr).Named("vpc").WithOptions(options(1)).
		For(&v1.Vpc{}).
		Watches(&v1.Subnet{}, handler.EnqueueRequestsFromMapFunc(d.vpcOf)).
		WatchesRawSource(d.vpcQueue.source()).
		Complete(after(loaded, d.vpcs))
	if err != nil {
		return fmt.Errorf("set up Vpcs: %w", err)
	}
	err = builder.ControllerManagedBy(d.mgr).Named("service").WithOptions(options(1)).
		WatchesRawSource(d.serviceQueue.source()).
		Complete(after(loaded, d.services))
	if err != nil {
		return fmt.Errorf("set up Services: %w", err)
	}
	err = builder.ControllerManagedBy(d.mgr).Named("servicecidr").WithOptions(options(1)).
		WatchesRawSource(d.serviceCIDRQueue.source()).
		Complete(after(loaded, d.serviceCIDRs))
	if err != nil {
		return fmt.Errorf("set up ServiceCIDRs: %w", err)
	}
	err = builder.ControllerManagedBy(d.mgr).Named("networkpolicy").WithOptions(options(1)).
		WatchesRawSource(d.policyQueue.source()).
		Complete(after(loaded, d.policies))
	if err != nil {
		return fmt.Errorf("set up NetworkPolicies: %w", err)
	}
	err = builder.ControllerManagedBy(d.mgr).Named("namespace").WithOptions(options(1)).
		For(&corev1.Namespace{}, builder.WithPredicates(d.rebind(predicate.Or(predicate.LabelChangedPredicate{}, predicate.AnnotationChangedPredicate{})))).
		Watches(&v1.Subnet{}, handler.EnqueueRequestsFromMapFunc(d.allNamespaces), builder.WithPredicates(d.rebind(predicate.GenerationChangedPredicate{}))).
		WatchesRawSource(d.namespaceQueue.source()).
		Complete(after(loaded, d.namespaces))
	if err != nil {
		return fmt.Errorf("set up Namespaces: %w", err)
	}
	if err := d.setupClusterPolicies(loaded, served); err != nil {
		return err
	}
	if err := d.setupSecurityGroups(loaded); err != nil {
		return err
	}
	if err := d.setupTrafficMirrors(loaded); err != nil {
		return err
	}
	if err := d.setupDomains(loaded, served); err != nil {
		return err
	}
	return d.setupRules(loaded)
}

// options keep failed requests coming back within 30 s; the API server's own fairness is the only other limit.
func options(workers int) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: workers,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](5*time.Millisecond, 30*time.Second),
	}
}

// after holds a reconciler back until ready is closed.
func after(ready <-chan struct{}, r reconcile.Reconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		select {
		case <-ready:
			return r.Reconcile(ctx, req)
		case <-ctx.Done():
			return reconcile.Result{}, ctx.Err()
		}
	})
}

// mayNeedAddress leaves out Pods that never had and do not yet need one.
func mayNeedAddress(obj client.Object) bool {
	pod, ok := obj.(*corev1.Pod)
	return ok && !pod.Spec.HostNetwork && pod.Spec.NodeName != ""
}

func nodeRequest(_ context.Context, obj client.Object) []reconcile.Request {
	return []reconcile.Request{named(state.NodePort(obj.GetName()))}
}

// nodePredicate leaves out the heartbeats.
func nodePredicate() predicate.Predicate {
	return predicate.Or(predicate.AnnotationChangedPredicate{}, predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }})
}

// balancerPredicate lets those Services pass that ask us for an address, or have asked.
func balancerPredicate() predicate.Predicate {
	asks := func(obj client.Object) bool {
		service, ok := obj.(*corev1.Service)
		if !ok {
			return false
		}
		_, asks := v1.AsksForAddress(service)
		return asks
	}
	p := predicate.NewPredicateFuncs(asks)
	return predicate.Or(p, predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool { return asks(e.ObjectOld) },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	})
}

// addressesChanged lets Nodes pass whose addresses are new, others or gone.
func addressesChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		old, isNode := e.ObjectOld.(*corev1.Node)
		now, _ := e.ObjectNew.(*corev1.Node)
		return isNode && !slices.Equal(feed.Node(old).InternalIPs, feed.Node(now).InternalIPs)
	}}
}

func deletion() predicate.Predicate {
	return predicate.NewPredicateFuncs(func(obj client.Object) bool { return obj.GetDeletionTimestamp() != nil })
}

// rebind forgets which Subnets serve which Namespace before the events that pass are handled, and lets Pods that wait for any
// Subnet try again.
func (d *Deciders) rebind(p predicate.Predicate) predicate.Predicate {
	reset := func(pass bool) bool {
		if pass {
			d.binding.reset()
			d.addresses.wake(anySubnet)
		}
		return pass
	}
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return reset(p.Create(e)) },
		UpdateFunc: func(e event.UpdateEvent) bool { return reset(p.Update(e)) },
		DeleteFunc: func(e event.DeleteEvent) bool { return reset(p.Delete(e)) },
	}
}

func (d *Deciders) vpcOf(_ context.Context, obj client.Object) []reconcile.Request {
	return []reconcile.Request{named(feed.Subnet(obj.(*v1.Subnet), d.cfg.Store.Config().DefaultVpc).Vpc)}
}

// balancerPools are the Subnets in which Nodes have addresses.
func (d *Deciders) balancerPools(context.Context, client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, s := range d.ledger.balancerPools() {
		requests = append(requests, named(s.Name))
	}
	return requests
}

func (d *Deciders) allNamespaces(ctx context.Context, _ client.Object) []reconcile.Request {
	var list corev1.NamespaceList
	if err := d.mgr.GetClient().List(ctx, &list); err != nil {
		return nil
	}
	requests := make([]reconcile.Request, len(list.Items))
	for i := range list.Items {
		requests[i] = named(list.Items[i].Name)
	}
	return requests
}

// ipHandler leads from an IP object to its holder. Deletions are told to the ledger first: the cache may still lack what we
// have just written, so that only the event tells "gone" from "not there yet".
func (d *Deciders) ipHandler() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { q.Add(requestOf(e.Object.(*v1.IP))) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { q.Add(requestOf(e.ObjectNew.(*v1.IP))) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) {
			obj := e.Object.(*v1.IP)
			d.ledger.vanished(obj.Name, string(obj.UID))
			q.Add(requestOf(obj))
		},
	}
}

// inbox lets other goroutines put requests into a controller's queue, before and after it starts.
type inbox struct {
	mu    sync.Mutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	early []reconcile.Request
}

func newInbox() *inbox { return &inbox{} }

func (i *inbox) add(req reconcile.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.queue == nil {
		i.early = append(i.early, req)
		return
	}
	i.queue.Add(req)
}

func (i *inbox) source() source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.queue = queue
		for _, req := range i.early {
			queue.Add(req)
		}
		i.early = nil
		return nil
	})
}
