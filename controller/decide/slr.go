package decide

import (
	"context"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/report"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
)

// SwitchLBRules reconciles SwitchLBRules: it makes the Service that lists the endpoints, asks for the addresses that the rule
// needs, and shows the status. After a restart it asks for all addresses once more, which is no change.
type SwitchLBRules struct {
	statuses
	store *state.Store
	board *report.Board
	// ask has an address of the name given or released, whatever is right.
	ask func(reconcile.Request)

	mu    sync.Mutex
	needs map[string]map[string]string // by rule: what virtuals said last
}

// Reconcile implements reconcile.Reconciler.
func (r *SwitchLBRules) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var obj v1.SwitchLBRule
	err := r.client.Get(ctx, req.NamespacedName, &obj)
	gone := apierrors.IsNotFound(err) || !obj.DeletionTimestamp.IsZero()
	if err != nil && !gone {
		return reconcile.Result{}, fmt.Errorf("get SwitchLBRule %s: %w", req.Name, err)
	}
	r.askFor(req.Name)
	if gone {
		return reconcile.Result{}, nil // the rest goes with its owner
	}
	refusal, err := r.service(ctx, &obj)
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, r.writeStatus(ctx, &obj, refusal)
}

// askFor asks for the addresses that the rule has come to need, and for those that it needs no more.
func (r *SwitchLBRules) askFor(rule string) {
	var now map[string]string
	r.store.Inspect(func(v *state.View) { now = virtuals(v, rule) })
	r.mu.Lock()
	old := r.needs[rule]
	if r.needs[rule] = now; now == nil {
		delete(r.needs, rule)
	}
	r.mu.Unlock()
	for name, subnet := range now {
		if old[name] != subnet {
			r.ask(named(name))
		}
	}
	for name := range old {
		if _, still := now[name]; !still {
			r.ask(named(name))
		}
	}
}

func (r *SwitchLBRules) writeStatus(ctx context.Context, obj *v1.SwitchLBRule, refusal *compile.Problem) error {
	before := obj.DeepCopy()
	ready := r.ready(obj, refusal)
	news := report.SetCondition(&obj.Status.Conditions, ready)
	obj.Status.Service, obj.Status.Ports = obj.Spec.Namespace+"/"+obj.ServiceName(), portsText(obj)
	return r.write(ctx, before, obj, ready, news)
}

// portsText is "80/TCP,53/UDP".
func portsText(obj *v1.SwitchLBRule) string {
	var texts []string
	for _, p := range obj.Spec.Ports {
		texts = append(texts, fmt.Sprintf("%d/%s", p.Port, protocolName(p)))
	}
	return strings.Join(texts, ",")
}

func (r *SwitchLBRules) ready(obj *v1.SwitchLBRule, refusal *compile.Problem) v1.Condition {
	ready := v1.Condition{Type: v1.ConditionReady, Status: corev1.ConditionFalse, ObservedGeneration: obj.Generation}
	outcome := r.board.Outcome(nb.Owner{Kind: state.KindSwitchLBRule, Key: obj.Name})
	switch {
	case refusal != nil:
		ready.Reason, ready.Message = refusal.Reason, refusal.Text
	case len(outcome.Problems) > 0:
		ready.Reason, ready.Message = outcome.Problems[0].Reason, texts(outcome.Problems)
	default:
		ready = applied(ready, outcome, obj.Status.Conditions)
		if ready.Reason == reasonPending {
			r.store.Inspect(func(v *state.View) {
				if text := compile.WaitsFor(v, obj.Name); text != "" {
					ready.Message = text
				}
			})
		}
	}
	return ready
}

// setupRules registers the reconciler.
func (d *Deciders) setupRules(loaded <-chan struct{}) error {
	err := builder.ControllerManagedBy(d.mgr).Named("switchlbrule").WithOptions(options(1)).
		For(&v1.SwitchLBRule{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&corev1.Service{}, handler.EnqueueRequestsFromMapFunc(ruleOfService)).
		Watches(&discoveryv1.EndpointSlice{}, handler.EnqueueRequestsFromMapFunc(ruleOfSlice)).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(d.rulesOf), builder.WithPredicates(creation())).
		WatchesRawSource(d.ruleQueue.source()).
		Complete(after(loaded, d.rules))
	if err != nil {
		return fmt.Errorf("set up SwitchLBRules: %w", err)
	}
	return nil
}

func creation() predicate.Predicate {
	no := func(event.UpdateEvent) bool { return false }
	return predicate.Funcs{UpdateFunc: no, DeleteFunc: func(event.DeleteEvent) bool { return false }}
}

// ruleOfService leads from a Service to the rule that it belongs to, or in whose way it is.
func ruleOfService(_ context.Context, obj client.Object) []reconcile.Request {
	if owner := feed.RuleOf(obj); owner != nil {
		return []reconcile.Request{named(owner.Name)}
	}
	if name, ok := strings.CutPrefix(obj.GetName(), v1.SwitchLBRulePrefix); ok {
		return []reconcile.Request{named(name)}
	}
	return nil
}

func ruleOfSlice(_ context.Context, obj client.Object) []reconcile.Request {
	name, ok := strings.CutPrefix(obj.GetLabels()[discoveryv1.LabelServiceName], v1.SwitchLBRulePrefix)
	if !ok || obj.GetLabels()[discoveryv1.LabelManagedBy] != managedBy {
		return nil
	}
	return []reconcile.Request{named(name)}
}

// rulesOf are the rules that wait for a Namespace.
func (d *Deciders) rulesOf(ctx context.Context, obj client.Object) (requests []reconcile.Request) {
	var list v1.SwitchLBRuleList
	if err := d.mgr.GetClient().List(ctx, &list); err != nil {
		return nil
	}
	for i := range list.Items {
		if list.Items[i].Spec.Namespace == obj.GetName() {
			requests = append(requests, named(list.Items[i].Name))
		}
	}
	return requests
}

// Reasons of a rule that has no Service, next to those of package compile.
const (
	reasonNoNamespace = "NamespaceNotFound"
	reasonNotOurs     = "ServiceExists" // one of that name is somebody else's
)

func problem(reason, format string, args ...any) *compile.Problem {
	return &compile.Problem{Reason: reason, Text: fmt.Sprintf(format, args...)}
}

// refusedByAPI is what the API server refuses for good, as long as the rule and the cluster stay what they are.
func refusedByAPI(err error, namespace string) *compile.Problem {
	switch {
	case apierrors.IsNotFound(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return problem(reasonNoNamespace, "spec.namespace: there is no Namespace %s", namespace)
	case apierrors.IsInvalid(err):
		return problem(compile.ReasonInvalid, "%s", err.Error())
	}
	return nil
}
