package decide

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/report"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
)

// ClusterPolicies show in the status of the policies of one kind of policy.networking.k8s.io whether they are in force.
type ClusterPolicies struct {
	client client.Client
	store  *state.Store
	board  *report.Board
	events events.EventRecorder
	kind   string // of the owners
	object func() (client.Object, *[]metav1.Condition)
}

// Reconcile implements reconcile.Reconciler.
func (r *ClusterPolicies) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	obj, conditions := r.object()
	if err := r.client.Get(ctx, req.NamespacedName, obj); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	old := obj.DeepCopyObject().(client.Object)
	ready, ok := r.ready(obj)
	last := meta.FindStatusCondition(*conditions, ready.Type)
	news := last == nil || last.Status != ready.Status || last.Reason != ready.Reason || last.Message != ready.Message
	if !ok || !meta.SetStatusCondition(conditions, ready) {
		return reconcile.Result{}, nil
	}
	if err := r.client.Status().Patch(ctx, obj, client.MergeFrom(old)); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("write the status of %s %s: %w", r.kind, obj.GetName(), err)
	}
	if news && ready.Status == metav1.ConditionFalse {
		r.events.Eventf(obj, nil, corev1.EventTypeWarning, ready.Reason, "Reconcile", "%s", ready.Message)
	}
	return reconcile.Result{}, nil
}

// ready is not ok while the engine has not looked at the policy as it is.
func (r *ClusterPolicies) ready(obj client.Object) (ready metav1.Condition, ok bool) {
	owner := nb.Owner{Kind: r.kind, Key: obj.GetName()}
	ready = metav1.Condition{Type: string(v1.ConditionReady), Status: metav1.ConditionFalse, ObservedGeneration: obj.GetGeneration()}
	outcome := r.board.Outcome(owner)
	switch reason, text := wrong(outcome); {
	case text != "":
		ready.Reason, ready.Message = reason, text
	case outcome.Rows == 0 && r.wantsRows(owner):
		return ready, false
	default:
		ready.Status, ready.Reason = metav1.ConditionTrue, reasonReady
	}
	return ready, true
}

// wantsRows tells whether the policy makes a difference: one without rules, or about Nodes that do not exist, does not.
func (r *ClusterPolicies) wantsRows(owner nb.Owner) (wants bool) {
	r.store.Inspect(func(v *state.View) { wants = len(compile.Owner(v, owner).Rows) > 0 })
	return wants
}

func (d *Deciders) setupClusterPolicies(loaded <-chan struct{}, served feed.Served) error {
	for _, k := range []struct {
		kind   string
		served bool
		object func() (client.Object, *[]metav1.Condition)
	}{
		{state.KindAdminPolicy, served.AdminPolicies, func() (client.Object, *[]metav1.Condition) {
			obj := &v1alpha1.AdminNetworkPolicy{}
			return obj, &obj.Status.Conditions
		}},
		{state.KindBaselinePolicy, served.BaselinePolicies, func() (client.Object, *[]metav1.Condition) {
			obj := &v1alpha1.BaselineAdminNetworkPolicy{}
			return obj, &obj.Status.Conditions
		}},
		{state.KindClusterPolicy, served.ClusterPolicies, func() (client.Object, *[]metav1.Condition) {
			obj := &v1alpha2.ClusterNetworkPolicy{}
			return obj, &obj.Status.Conditions
		}},
	} {
		if !k.served {
			continue
		}
		obj, _ := k.object()
		policies := &ClusterPolicies{
			client: d.mgr.GetClient(), store: d.cfg.Store, board: d.cfg.Board, events: d.mgr.GetEventRecorder("heddle-controller"), kind: k.kind, object: k.object,
		}
		err := builder.ControllerManagedBy(d.mgr).Named(k.kind).WithOptions(options(1)).
			For(obj, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
			WatchesRawSource(d.clusterPolicyQueues[k.kind].source()).
			Complete(after(loaded, policies))
		if err != nil {
			return fmt.Errorf("set up %s: %w", k.kind, err)
		}
	}
	return nil
}
