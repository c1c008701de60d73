package decide

import (
	"context"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-net/heddle/controller/report"
	"github.com/heddle-net/heddle/ovs/nb"
)

// Notices tell by Events what is wrong with objects of one kind that have no condition of ours.
type Notices struct {
	client client.Client
	board  *report.Board
	events events.EventRecorder
	kind   string // of the owners
	object func() client.Object

	mu   sync.Mutex
	said map[reconcile.Request]string
}

// Reconcile implements reconcile.Reconciler. It is asked when the outcome of an owner has changed.
func (r *Notices) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	obj, owner := r.object(), nb.Owner{Kind: r.kind, Key: strings.TrimPrefix(req.String(), "/")}
	if err := r.client.Get(ctx, req.NamespacedName, obj); apierrors.IsNotFound(err) {
		r.news(req, "")
		return reconcile.Result{}, nil
	} else if err != nil {
		return reconcile.Result{}, fmt.Errorf("get %s: %w", owner, err)
	}
	reason, text := wrong(r.board.Outcome(owner))
	if r.news(req, text) {
		r.events.Eventf(obj, nil, corev1.EventTypeWarning, reason, "Reconcile", "%s", text)
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
func (r *Notices) news(req reconcile.Request, text string) bool {
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
