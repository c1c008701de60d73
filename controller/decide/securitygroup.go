package decide

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-net/heddle/controller/report"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
)

// SecurityGroups show the status of SecurityGroups.
type SecurityGroups struct {
	statuses
	store *state.Store
	board *report.Board
}

// Reconcile implements reconcile.Reconciler.
func (r *SecurityGroups) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var obj v1.SecurityGroup
	if err := r.client.Get(ctx, req.NamespacedName, &obj); apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	} else if err != nil {
		return reconcile.Result{}, fmt.Errorf("get SecurityGroup %s: %w", req.Name, err)
	}
	before := obj.DeepCopy()
	ready := r.ready(&obj)
	news := report.SetCondition(&obj.Status.Conditions, ready)
	r.fill(&obj, ready.Status == corev1.ConditionTrue)
	return reconcile.Result{}, r.write(ctx, before, &obj, ready, news)
}

// fill writes what Kube-OVN's users and tools look at.
func (r *SecurityGroups) fill(obj *v1.SecurityGroup, inForce bool) {
	s := &obj.Status
	r.store.Inspect(func(v *state.View) { s.PortGroup = v.Group(state.SecurityGroupPods(obj.Name), state.Ports) })
	s.AllowSameGroupTraffic = obj.Spec.AllowSameGroupTraffic
	s.IngressMd5, s.EgressMd5 = digest(obj.Spec.IngressRules), digest(obj.Spec.EgressRules)
	s.IngressLastSyncSuccess, s.EgressLastSyncSuccess = inForce, inForce
}

// digest tells lists of rules from each other; nothing is safe because of it.
func digest(rules []v1.SecurityGroupRule) string {
	sum := md5.Sum(mustJSON(rules))
	return hex.EncodeToString(sum[:])
}

func (r *SecurityGroups) ready(obj *v1.SecurityGroup) v1.Condition {
	ready := v1.Condition{Type: v1.ConditionReady, Status: corev1.ConditionFalse, ObservedGeneration: obj.Generation}
	outcome := r.board.Outcome(nb.Owner{Kind: state.KindSecurityGroup, Key: obj.Name})
	switch {
	case len(outcome.Problems) > 0:
		ready.Reason, ready.Message = outcome.Problems[0].Reason, texts(outcome.Problems)
	case len(obj.Spec.IngressRules)+len(obj.Spec.EgressRules) == 0 && !obj.Spec.AllowSameGroupTraffic && outcome.Rows == 0 && outcome.Blocked == "":
		ready.Status, ready.Reason = corev1.ConditionTrue, reasonReady // it allows nothing, and wants no row
	default:
		return applied(ready, outcome, obj.Status.Conditions)
	}
	return ready
}

// setupSecurityGroups registers the reconciler.
func (d *Deciders) setupSecurityGroups(loaded <-chan struct{}) error {
	err := builder.ControllerManagedBy(d.mgr).Named("securitygroup").WithOptions(options(1)).
		For(&v1.SecurityGroup{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(d.groupQueue.source()).
		Complete(after(loaded, d.groups))
	if err != nil {
		return fmt.Errorf("set up SecurityGroups: %w", err)
	}
	return nil
}
