package decide

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-net/heddle/controller/report"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
)

// Services tells by Events what is wrong with a Service: it has no condition that is ours.
type Services struct {
	client client.Client
	board  *report.Board
	events events.EventRecorder

	mu   sync.Mutex
	said map[reconcile.Request]string
}

// Reconcile implements reconcile.Reconciler. It is asked when the outcome of a Service has changed.
func (r *Services) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var obj corev1.Service
	if err := r.client.Get(ctx, req.NamespacedName, &obj); apierrors.IsNotFound(err) {
		r.news(req, "")
		return reconcile.Result{}, nil
	} else if err != nil {
		return reconcile.Result{}, fmt.Errorf("get Service %s: %w", req, err)
	}
	reason, text := wrong(r.board.Outcome(nb.Owner{Kind: state.KindService, Key: req.String()}))
	if r.news(req, text) {
		r.events.Eventf(&obj, nil, corev1.EventTypeWarning, reason, "ReconcileService", "%s", text)
	}
	return reconcile.Result{}, nil
}

// wrong says what somebody must do something about; empty when there is nothing.
func wrong(outcome report.Outcome) (reason, text string) {
	switch {
	case outcome.Blocked != "" && outcome.Reason != nb.ReasonMissingParent:
		return outcome.Reason, outcome.Blocked
	case len(outcome.Problems) > 0:
		return outcome.Problems[0].Reason, texts(outcome.Problems)
	}
	return "", ""
}

// news remembers a text and tells whether it is to be said.
func (r *Services) news(req reconcile.Request, text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text == "" {
		delete(r.said, req)
		return false
	}
	again := r.said[req] == text
	r.said[req] = text
	return !again
}
