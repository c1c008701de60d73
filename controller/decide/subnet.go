package decide

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/report"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
)

// Subnets reconciles Subnets: it completes the spec, keeps the pool of addresses, and shows the status.
type Subnets struct {
	client client.Client
	ledger *Ledger
	store  *state.Store
	board  *report.Board
	events events.EventRecorder
	qos    *qosNotes
	// wake tries again who waits for an address in the Subnet.
	wake func(subnet string)

	mu      sync.Mutex
	written map[string]time.Time // when the status was last written
}

// statusInterval is the time between two writes of one Subnet's status: the counts change with every Pod.
const statusInterval = time.Second

// Reconcile implements reconcile.Reconciler.
func (r *Subnets) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var obj v1.Subnet
	if err := r.client.Get(ctx, req.NamespacedName, &obj); apierrors.IsNotFound(err) {
		r.ledger.drop(req.Name)
		return reconcile.Result{}, nil
	} else if err != nil {
		return reconcile.Result{}, fmt.Errorf("get Subnet %s: %w", req.Name, err)
	}
	r.qos.look(&obj)
	if !obj.DeletionTimestamp.IsZero() {
		if done, err := r.finish(ctx, &obj); done || err != nil {
			return reconcile.Result{}, err
		}
	} else if err := r.complete(ctx, &obj); err != nil && !apierrors.IsInvalid(err) { // the problems tell why it is
		return reconcile.Result{}, err
	}
	problems := r.problems(ctx, &obj)
	if len(problems) == 0 {
		r.wake(obj.Name)
	}
	if len(problems) == 0 && obj.Spec.Provider == v1.ProviderL2 {
		r.wake(anySubnet) // Services that name none
	}
	return r.writeStatus(ctx, &obj, problems)
}

// complete writes what the spec leaves open, as Kube-OVN does: users read it in the columns of `kubectl get subnet`.
func (r *Subnets) complete(ctx context.Context, obj *v1.Subnet) error {
	want := obj.DeepCopy()
	controllerutil.RemoveFinalizer(want, v1.DeprecatedFinalizer)
	controllerutil.AddFinalizer(want, v1.Finalizer)
	want.Spec.Vpc = cmp.Or(want.Spec.Vpc, r.store.Config().DefaultVpc)
	want.Spec.Provider = cmp.Or(want.Spec.Provider, v1.ProviderOVN)
	want.Spec.GatewayType = cmp.Or(want.Spec.GatewayType, v1.GatewayTypeDistributed)
	if config, err := feed.Addresses(&obj.Spec); err == nil {
		want.Spec.Protocol = protocolOf(config.CIDRs)
		want.Spec.Gateway = cmp.Or(want.Spec.Gateway, joinAddrs(config.Gateways))
		for _, gateway := range config.Gateways {
			if !slices.Contains(want.Spec.ExcludeIps, gateway.String()) {
				want.Spec.ExcludeIps = append(want.Spec.ExcludeIps, gateway.String())
			}
		}
	}
	if reflect.DeepEqual(obj.Spec, want.Spec) && slices.Equal(obj.Finalizers, want.Finalizers) {
		return nil
	}
	patch := client.MergeFromWithOptions(obj.DeepCopy(), client.MergeFromWithOptimisticLock{})
	want.DeepCopyInto(obj)
	if err := r.client.Patch(ctx, obj, patch); err != nil {
		return fmt.Errorf("complete Subnet %s: %w", obj.Name, err)
	}
	return nil
}

// finish lets a deleted Subnet go once nobody has an address in it.
func (r *Subnets) finish(ctx context.Context, obj *v1.Subnet) (done bool, err error) {
	if len(r.holders(obj.Name)) > 0 || !controllerutil.ContainsFinalizer(obj, v1.Finalizer) {
		return false, nil
	}
	patch := client.MergeFromWithOptions(obj.DeepCopy(), client.MergeFromWithOptimisticLock{})
	controllerutil.RemoveFinalizer(obj, v1.Finalizer)
	if err := r.client.Patch(ctx, obj, patch); err != nil {
		return false, fmt.Errorf("let Subnet %s go: %w", obj.Name, err)
	}
	return true, nil
}

func (r *Subnets) holders(subnet string) []string {
	pool, ok := r.ledger.pools.Pool(subnet)
	if !ok {
		return nil
	}
	return slices.Sorted(maps.Keys(pool.Leases()))
}

// problems says why the Subnet cannot be served; where it can, its pool is made, or changed, first.
func (r *Subnets) problems(ctx context.Context, obj *v1.Subnet) []compile.Problem {
	converted := feed.Subnet(obj, r.store.Config().DefaultVpc)
	var problems []compile.Problem
	r.store.Inspect(func(v *state.View) { problems = compile.SubnetProblems(v, converted) })
	if len(problems) > 0 {
		return problems
	}
	config, err := feed.Addresses(&obj.Spec)
	if err == nil && converted.L2 {
		config.Nodes, err = r.nodeIPs(ctx)
	}
	if err == nil {
		// The join Subnet never ends while there are Nodes; new ones must not wait for that.
		closed := !obj.DeletionTimestamp.IsZero() && obj.Name != r.store.Config().JoinSubnet
		err = r.ledger.serve(served{converted, closed}, config)
	}
	if err != nil {
		return []compile.Problem{{Reason: compile.ReasonInvalid, Text: err.Error()}}
	}
	return nil
}

// nodeIPs are the addresses that the nodes have, which no Service may get. They come from the cache that has woken us: the state may
// hear of a Node a moment later.
func (r *Subnets) nodeIPs(ctx context.Context) ([]netip.Addr, error) {
	var list corev1.NodeList
	if err := r.client.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list Nodes: %w", err)
	}
	var ips []netip.Addr
	for i := range list.Items {
		ips = append(ips, feed.Node(&list.Items[i]).InternalIPs...)
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	return ips, nil
}

// writeStatus shows the use and the condition of a Subnet, at most once in statusInterval.
func (r *Subnets) writeStatus(ctx context.Context, obj *v1.Subnet, problems []compile.Problem) (reconcile.Result, error) {
	old := obj.Status.DeepCopy()
	ready := r.ready(obj, problems)
	changed := report.SetCondition(&obj.Status.Conditions, ready)
	held, ok := r.removalsHeld(obj)
	heldChanged := ok && report.SetCondition(&obj.Status.Conditions, held)
	valid, ok := r.validated(obj, problems)
	validChanged := ok && report.SetCondition(&obj.Status.Conditions, valid)
	if wait := r.tooEarly(obj.Name); wait > 0 && !changed && !heldChanged && !validChanged {
		return reconcile.Result{RequeueAfter: wait}, nil // not for each Pod: to count a large Subnet takes a millisecond
	}
	r.fillUse(obj)
	if reflect.DeepEqual(old, &obj.Status) {
		return reconcile.Result{}, nil
	}
	r.wrote(obj.Name)
	// An update, not a patch: a patch would leave out counts that are 0 and were never written.
	if err := r.client.Status().Update(ctx, obj); err != nil {
		if apierrors.IsNotFound(err) {
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, fmt.Errorf("write the status of Subnet %s: %w", obj.Name, err)
	}
	if changed && warns(ready) {
		r.warn(obj, ready)
	}
	if heldChanged && held.Status == corev1.ConditionTrue {
		r.warn(obj, held)
	}
	if validChanged && valid.Status == corev1.ConditionFalse {
		r.warn(obj, valid)
	}
	return reconcile.Result{}, nil
}

func (r *Subnets) tooEarly(name string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Until(r.written[name].Add(statusInterval))
}

func (r *Subnets) wrote(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written[name] = time.Now()
}

// rangeLimit bounds the text of a range list in the status, in bytes: etcd refuses objects over 1.5 MB.
const rangeLimit = 64 << 10

func (r *Subnets) fillUse(obj *v1.Subnet) {
	pool, ok := r.ledger.pools.Pool(obj.Name)
	if !ok {
		return
	}
	use, s := pool.Status(), &obj.Status
	s.V4UsingIPs, s.V4AvailableIPs = v1.BigIntFrom(use.V4.Using.Count()), v1.BigIntFrom(use.V4.Available.Count())
	s.V6UsingIPs, s.V6AvailableIPs = v1.BigIntFrom(use.V6.Using.Count()), v1.BigIntFrom(use.V6.Available.Count())
	s.V4UsingIPRange, s.V4AvailableIPRange = use.V4.Using.Text(rangeLimit), use.V4.Available.Text(rangeLimit)
	s.V6UsingIPRange, s.V6AvailableIPRange = use.V6.Using.Text(rangeLimit), use.V6.Available.Text(rangeLimit)
}

// Condition reasons of a Subnet, next to those of package compile.
const (
	reasonReady   = "Ready"   // the Subnet is in force
	reasonPending = "Pending" // it is not yet in the northbound database
	reasonInUse   = "InUse"   // it is deleted, but Pods have addresses in it
)

func (r *Subnets) ready(obj *v1.Subnet, problems []compile.Problem) v1.Condition {
	ready := v1.Condition{Type: v1.ConditionReady, Status: corev1.ConditionFalse, ObservedGeneration: obj.Generation}
	outcome := r.board.Outcome(nb.Owner{Kind: state.KindSubnet, Key: obj.Name})
	switch {
	case !obj.DeletionTimestamp.IsZero():
		ready.Reason, ready.Message = reasonInUse, "cannot be deleted: its addresses are used by "+some(r.holders(obj.Name))
	case len(problems) > 0:
		ready.Reason, ready.Message = problems[0].Reason, texts(problems)
	case obj.Spec.Provider == v1.ProviderL2: // not in the northbound database
		ready.Status, ready.Reason = corev1.ConditionTrue, reasonReady
	default:
		return applied(ready, outcome, obj.Status.Conditions)
	}
	return ready
}

func (r *Subnets) warn(obj *v1.Subnet, c v1.Condition) {
	r.events.Eventf(obj, nil, corev1.EventTypeWarning, c.Reason, "ReconcileSubnet", "%s", c.Message)
}

// some lists the first few names and counts the rest.
func some(names []string) string {
	const limit = 5
	if len(names) <= limit {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:limit], ", "), len(names)-limit)
}
