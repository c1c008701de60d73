package decide

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-net/heddle/controller/report"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/crds/heddle"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
)

// TrafficMirrors show the status of TrafficMirrors.
type TrafficMirrors struct {
	statuses
	board *report.Board
}

// Reconcile implements reconcile.Reconciler.
func (r *TrafficMirrors) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var obj heddle.TrafficMirror
	if err := r.client.Get(ctx, req.NamespacedName, &obj); apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	} else if err != nil {
		return reconcile.Result{}, fmt.Errorf("get TrafficMirror %s: %w", req.Name, err)
	}
	before := obj.DeepCopy()
	ready := r.ready(&obj)
	news := report.SetCondition(&obj.Status.Conditions, ready)
	obj.Status.To = obj.Spec.To.String()
	return reconcile.Result{}, r.write(ctx, before, &obj, ready, news)
}

func (r *TrafficMirrors) ready(obj *heddle.TrafficMirror) v1.Condition {
	ready := v1.Condition{Type: v1.ConditionReady, Status: corev1.ConditionFalse, ObservedGeneration: obj.Generation}
	outcome := r.board.Outcome(nb.Owner{Kind: state.KindMirror, Key: obj.Name})
	if len(outcome.Problems) > 0 {
		ready.Reason, ready.Message = outcome.Problems[0].Reason, texts(outcome.Problems)
		return ready
	}
	return applied(ready, outcome, obj.Status.Conditions)
}

// setupTrafficMirrors registers the reconciler.
func (d *Deciders) setupTrafficMirrors(loaded <-chan struct{}) error {
	err := builder.ControllerManagedBy(d.mgr).Named("trafficmirror").WithOptions(options(1)).
		For(&heddle.TrafficMirror{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(d.mirrorQueue.source()).
		Complete(after(loaded, d.mirrors))
	if err != nil {
		return fmt.Errorf("set up TrafficMirrors: %w", err)
	}
	return nil
}
