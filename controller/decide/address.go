package decide

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/ipam"
	"github.com/heddle-net/heddle/controller/report"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
)

// Addresses reconciles everything that holds an address. A request names a Pod (namespace and name), or an IP object of
// something else (no namespace): that of a Node or of a Service, or a reservation.
type Addresses struct {
	client  client.Client
	live    client.Reader // of the API server, not of the cache
	ledger  *Ledger
	binding *binding
	store   *state.Store
	board   *report.Board
	events  events.EventRecorder
	qos     *qosNotes
	chassis func(ctx context.Context, node string) error

	requeue func(reconcile.Request)

	mu sync.Mutex
	// asked holds the owners whose ports must be confirmed gone before their addresses are free.
	asked     map[nb.Owner]reconcile.Request
	confirmed map[reconcile.Request]bool
	// vacating holds the Pods that wait for the port of an earlier Pod of their name to go.
	vacating map[reconcile.Request]bool
	// waiting holds who could not be served, to be tried again when something changes in the Subnet.
	waiting map[string]map[reconcile.Request]bool
	// annotated is the resource version of what a patch of annotations has made, until the cache has it.
	annotated map[reconcile.Request]string
	// said is the last Warning of each reason for each request, so that it is not said again.
	said map[reconcile.Request]map[string]string
}

// Reconcile implements reconcile.Reconciler.
func (a *Addresses) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if req.Namespace != "" {
		return reconcile.Result{}, a.pod(ctx, req)
	}
	if node, ok := strings.CutPrefix(req.Name, v1.NodePortPrefix); ok {
		return reconcile.Result{}, a.node(ctx, req, node)
	}
	if isVirtual(req.Name) {
		return reconcile.Result{}, a.virtual(ctx, req)
	}
	if namespace, name, ok := v1.ServiceOfIP(req.Name); ok {
		return reconcile.Result{}, a.balancer(ctx, req, types.NamespacedName{Namespace: namespace, Name: name})
	}
	return reconcile.Result{}, a.reservation(ctx, req)
}

// requestOf says who is to be reconciled when an IP object changes.
func requestOf(obj *v1.IP) reconcile.Request {
	if obj.Spec.Namespace != "" && obj.Name == state.PodPort(obj.Spec.Namespace, obj.Spec.PodName) {
		return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: obj.Spec.Namespace, Name: obj.Spec.PodName}}
	}
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: obj.Name}}
}

// give serves a holder from the first of the Subnets that can; who cannot be served waits until one of them changes.
func (a *Addresses) give(ctx context.Context, req reconcile.Request, about runtime.Object, h holder, subnets []string, want ipam.Request) (ipam.Lease, string, error) {
	a.setWaiting(req, subnets)
	var refusal error
	for _, subnet := range subnets {
		lease, err := a.ledger.ensure(ctx, h, subnet, want)
		if err == nil {
			a.served(req)
			return lease, subnet, nil
		}
		if !refused(err) {
			return ipam.Lease{}, "", err
		}
		refusal = errors.Join(refusal, err)
	}
	a.warn(req, about, reasonAcquireFailed, explain(refusal))
	return ipam.Lease{}, "", nil
}

// tell says on the object why its port cannot be in the northbound database, when somebody must do something about it.
func (a *Addresses) tell(req reconcile.Request, about runtime.Object, owner nb.Owner) {
	outcome := a.board.Outcome(owner)
	a.tellProblems(req, about, outcome.Problems)
	if outcome.Blocked == "" || outcome.Reason == nb.ReasonMissingParent || outcome.Reason == nb.ReasonNotEmpty {
		return // what is missing is reported where it is missing
	}
	a.warn(req, about, reasonPortFailed, outcome.Reason+": "+outcome.Blocked)
}

// tellProblems says each time anew what is wrong with what an object asks for.
func (a *Addresses) tellProblems(req reconcile.Request, about runtime.Object, problems []compile.Problem) {
	if len(problems) > 0 {
		a.warn(req, about, problems[0].Reason, texts(problems))
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.said[req], compile.ReasonNotFound)
}

// refused tells errors that a retry cannot mend, only a change of the request, the Subnet or another holder.
func refused(err error) bool {
	var conflict *ipam.ConflictError
	var exhausted *ipam.ExhaustedError
	var outside *ipam.OutsideError
	var reserved *ipam.ReservedError
	var request *ipam.RequestError
	return errors.Is(err, errNoPool) || apierrors.IsInvalid(err) || errors.Is(err, errOtherHolder) || errors.As(err, &conflict) || errors.As(err, &exhausted) ||
		errors.As(err, &outside) || errors.As(err, &reserved) || errors.As(err, &request)
}

// Event reasons, Kube-OVN's.
const (
	reasonAcquireFailed = "AcquireAddressFailed"
	reasonInvalidPod    = "ValidatePodNetworkFailed"
	reasonPortFailed    = "CreatePortFailed"
	reasonNodeConflict  = "NodeAddressConflict"
	reasonUnsupported   = "NotSupported"
)

// explain starts a conflict's message with the word that Kube-OVN's users and tests look for.
func explain(err error) string {
	var conflict *ipam.ConflictError
	if errors.As(err, &conflict) {
		return "AddressConflict: " + err.Error()
	}
	return err.Error()
}

// warn emits a Warning once for each new text.
func (a *Addresses) warn(req reconcile.Request, about runtime.Object, reason, text string) {
	a.mu.Lock()
	again := a.said[req][reason] == text
	if a.said[req] == nil {
		a.said[req] = make(map[string]string)
	}
	a.said[req][reason] = text
	a.mu.Unlock()
	if !again {
		a.events.Eventf(about, nil, corev1.EventTypeWarning, reason, "AllocateAddress", "%s", text)
	}
}

func (a *Addresses) setWaiting(req reconcile.Request, subnets []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, subnet := range slices.Concat(subnets, []string{anySubnet}) {
		if a.waiting[subnet] == nil {
			a.waiting[subnet] = make(map[reconcile.Request]bool)
		}
		a.waiting[subnet][req] = true
	}
}

// anySubnet is what a holder without any Subnet waits for.
const anySubnet = ""

func (a *Addresses) served(req reconcile.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.said[req], reasonAcquireFailed)
	delete(a.said[req], reasonInvalidPod)
	for subnet, set := range a.waiting {
		if delete(set, req); len(set) == 0 {
			delete(a.waiting, subnet)
		}
	}
}

// wake tries again everybody who waits for that Subnet.
func (a *Addresses) wake(subnet string) {
	a.mu.Lock()
	set := a.waiting[subnet]
	delete(a.waiting, subnet)
	a.mu.Unlock()
	for req := range set {
		a.requeue(req)
	}
}

// confirm asks the engine whether the owner's rows are gone. The answer comes through Gone.
func (a *Addresses) confirm(owner nb.Owner, req reconcile.Request) {
	a.ask(owner, req)
	a.store.Mark(owner)
}

// ask has the request come again when the owner's rows are gone, whoever removes them.
func (a *Addresses) ask(owner nb.Owner, req reconcile.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked[owner] = req
}

// Gone is told that the northbound database holds no row of the owner.
func (a *Addresses) Gone(owner nb.Owner) {
	a.mu.Lock()
	req, ok := a.asked[owner]
	if ok {
		a.confirmed[req] = true
		delete(a.asked, owner)
	}
	a.mu.Unlock()
	if ok {
		a.requeue(req)
	}
}

// alive takes back the question whether the owner's rows are gone.
func (a *Addresses) alive(owner nb.Owner, req reconcile.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.asked, owner)
	delete(a.confirmed, req)
	delete(a.vacating, req)
}

// takeConfirmed tells, once, whether the rows are known to be gone.
func (a *Addresses) takeConfirmed(req reconcile.Request) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	ok := a.confirmed[req]
	delete(a.confirmed, req)
	return ok
}

// forget drops what is remembered of a holder that is gone.
func (a *Addresses) forget(req reconcile.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.annotated, req)
	delete(a.said, req)
	delete(a.vacating, req)
}

// gone keeps a reservation, which outlives its Pod or Node, and releases everything else.
func (a *Addresses) gone(ctx context.Context, req reconcile.Request, owner nb.Owner, ip string, clean func() error) error {
	if kept, err := a.outlives(ctx, req, ip); kept || err != nil {
		return err
	}
	return a.letGo(ctx, req, owner, ip, clean)
}

// outlives keeps a reservation whose holder is gone, and takes note of any other IP object: it may be one that we know nothing of,
// because its Subnet is not served.
func (a *Addresses) outlives(ctx context.Context, req reconcile.Request, ip string) (kept bool, err error) {
	var obj v1.IP
	if err := a.client.Get(ctx, types.NamespacedName{Name: ip}, &obj); err == nil {
		if reserved(&obj) && obj.DeletionTimestamp.IsZero() {
			return true, a.reserve(ctx, req, &obj)
		}
		if controllerutil.ContainsFinalizer(&obj, v1.Finalizer) { // else it is on its way out
			a.ledger.note(&obj)
		}
	}
	return false, nil
}

// letGo releases the address of a holder that is gone: first it asks whether the port is gone too, then it runs clean, if
// there is something else to remove.
func (a *Addresses) letGo(ctx context.Context, req reconcile.Request, owner nb.Owner, ip string, clean func() error) error {
	confirmed := a.takeConfirmed(req)
	old, known := a.ledger.record(ip)
	if !known && !confirmed {
		a.served(req) // it never had one, or waits no more
		a.forget(req)
		return nil
	}
	if !confirmed {
		a.confirm(owner, req)
		return nil
	}
	if old.found {
		if err := a.absent(ctx, req); err != nil {
			return err
		}
	}
	a.served(req)
	a.forget(req)
	if clean != nil {
		if err := clean(); err != nil {
			return err // asked anew when it is tried again
		}
	}
	return a.ledger.release(ctx, ip)
}

// errLate says that an object is in the API and not yet in the cache.
var errLate = errors.New("is there, the cache is late")

// absent asks the API server whether a Pod or Node that the cache does not have is really gone.
func (a *Addresses) absent(ctx context.Context, req reconcile.Request) error {
	var pod corev1.Pod
	var node corev1.Node
	var err error
	needs := true
	if name, isNode := strings.CutPrefix(req.Name, v1.NodePortPrefix); req.Namespace == "" && isNode {
		err = a.live.Get(ctx, types.NamespacedName{Name: name}, &node)
	} else {
		err = a.live.Get(ctx, req.NamespacedName, &pod)
		needs = feed.NeedsNetwork(&pod)
	}
	switch {
	case err == nil && needs:
		return fmt.Errorf("%s %w", req, errLate)
	case client.IgnoreNotFound(err) != nil:
		return fmt.Errorf("ask for %s: %w", req, err)
	}
	return nil
}
