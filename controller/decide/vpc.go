package decide

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-net/heddle/controller/report"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
)

// Vpcs reconciles Vpcs: finalizer and status. What a Vpc is made of is compiled.
type Vpcs struct {
	statuses
	store *state.Store
	board *report.Board
}

// Reconcile implements reconcile.Reconciler.
func (r *Vpcs) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var obj v1.Vpc
	if err := r.client.Get(ctx, req.NamespacedName, &obj); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if err := r.finalize(ctx, &obj); err != nil {
		return reconcile.Result{}, fmt.Errorf("finalizer of Vpc %s: %w", obj.Name, err)
	}
	before := obj.DeepCopy()
	r.fill(&obj)
	ready := r.ready(&obj)
	obj.Status.Standby = ready.Status == corev1.ConditionTrue || r.board.Outcome(vpcOwner(obj.Name)).Rows > 0
	news := report.SetCondition(&obj.Status.Conditions, ready)
	return reconcile.Result{}, r.write(ctx, before, &obj, ready, news)
}

// finalize keeps a Vpc for as long as it has Subnets.
func (r *Vpcs) finalize(ctx context.Context, obj *v1.Vpc) error {
	before := obj.DeepCopy()
	controllerutil.RemoveFinalizer(obj, v1.DeprecatedFinalizer)
	switch {
	case obj.DeletionTimestamp.IsZero():
		controllerutil.AddFinalizer(obj, v1.Finalizer)
	case len(r.subnets(obj.Name)) == 0:
		controllerutil.RemoveFinalizer(obj, v1.Finalizer)
	}
	if slices.Equal(before.Finalizers, obj.Finalizers) {
		return nil
	}
	err := r.client.Patch(ctx, obj, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	return client.IgnoreNotFound(err)
}

func (r *Vpcs) subnets(vpc string) []string {
	names := []string{}
	r.store.Inspect(func(v *state.View) {
		for _, s := range v.SubnetsOf(vpc) {
			if !s.L2 { // no part of its router
				names = append(names, s.Name)
			}
		}
	})
	return names
}

func (r *Vpcs) fill(obj *v1.Vpc) {
	config := r.store.Config()
	obj.Status.Subnets = r.subnets(obj.Name)
	obj.Status.Default = obj.Name == config.DefaultVpc
	if obj.Status.Default {
		obj.Status.Router, obj.Status.DefaultLogicalSwitch = obj.Name, config.DefaultSubnet
	}
}

func vpcOwner(name string) nb.Owner { return nb.Owner{Kind: state.KindVpc, Key: name} }

func (r *Vpcs) ready(obj *v1.Vpc) v1.Condition {
	ready := v1.Condition{Type: v1.ConditionReady, Status: corev1.ConditionFalse, ObservedGeneration: obj.Generation}
	outcome := r.board.Outcome(vpcOwner(obj.Name))
	switch {
	case !obj.DeletionTimestamp.IsZero():
		ready.Reason, ready.Message = reasonInUse, "cannot be deleted: it has the Subnets "+some(obj.Status.Subnets)
	case len(outcome.Problems) > 0:
		ready.Reason, ready.Message = outcome.Problems[0].Reason, texts(outcome.Problems)
	default:
		return applied(ready, outcome, obj.Status.Conditions)
	}
	return ready
}
