package decide

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/report"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// statuses writes those of one kind.
type statuses struct {
	client client.Client
	events events.EventRecorder
	kind   string
}

// write writes the status of an object if it differs from before, and an Event about what does not work if that is news.
func (s *statuses) write(ctx context.Context, before, obj client.Object, ready v1.Condition, news bool) error {
	if apiequality.Semantic.DeepEqual(before, obj) {
		return nil
	}
	if err := s.client.Status().Update(ctx, obj); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write the status of %s %s: %w", s.kind, obj.GetName(), err)
	}
	if news && warns(ready) {
		s.events.Eventf(obj, nil, corev1.EventTypeWarning, ready.Reason, "Reconcile"+s.kind, "%s", ready.Message)
	}
	return nil
}

// applied is the condition of an object with which nothing is wrong: what has become of it in the northbound database.
func applied(ready v1.Condition, outcome report.Outcome, last []v1.Condition) v1.Condition {
	switch {
	case outcome.Blocked != "":
		ready.Reason, ready.Message = outcome.Reason, outcome.Blocked
	case outcome.Rows == 0:
		return pending(ready, last)
	default:
		ready.Status, ready.Reason = corev1.ConditionTrue, reasonReady
	}
	return ready
}

// pending is the condition of what the engine has not looked at. After a restart that is everything: what the controller before
// has seen to be in force stays so, until this one knows better.
func pending(ready v1.Condition, last []v1.Condition) v1.Condition {
	for _, c := range last {
		if c.Type == ready.Type && c.Status == corev1.ConditionTrue && c.ObservedGeneration == ready.ObservedGeneration {
			return c
		}
	}
	ready.Reason, ready.Message = reasonPending, "waits for the northbound database"
	return ready
}

// warns tells whether a condition that is new deserves an Event. Everything begins as pending.
func warns(ready v1.Condition) bool {
	return ready.Status == corev1.ConditionFalse && ready.Reason != reasonPending
}

func texts(problems []compile.Problem) string {
	var all error
	for _, p := range problems {
		all = errors.Join(all, errors.New(p.Text))
	}
	return strings.ReplaceAll(all.Error(), "\n", "; ")
}
