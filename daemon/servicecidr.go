package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
)

// serviceCIDRs are the objects of that kind.
const serviceCIDRs = "servicecidrs"

// serviceCIDRSource watches ServiceCIDRs, which API servers before Kubernetes 1.33 do not have.
func (k *kube) serviceCIDRSource(t *tables, log logr.Logger, wake ...signal) *optionalSource {
	s := &source[*networkingv1.ServiceCIDR]{
		example: &networkingv1.ServiceCIDR{}, wake: wake,
		lw: cache.NewListWatchFromClient(k.networks, serviceCIDRs, "", fields.Everything()),
		trim: func(o *networkingv1.ServiceCIDR) *networkingv1.ServiceCIDR {
			return &networkingv1.ServiceCIDR{ObjectMeta: trimMeta(o.ObjectMeta), Spec: o.Spec}
		},
		put:    func(key string, o *networkingv1.ServiceCIDR) { t.serviceCIDRs.Put(key, cidrsOf(o)) },
		remove: t.serviceCIDRs.Delete,
	}
	return &optionalSource{s.informer, func(ctx context.Context) bool { return k.hasServiceCIDRs(ctx, log) }}
}

// cidrsOf leaves out what cannot be read; the API server takes no such thing.
func cidrsOf(o *networkingv1.ServiceCIDR) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range o.Spec.CIDRs {
		if p, err := netip.ParsePrefix(text); err == nil {
			out = append(out, p.Masked())
		}
	}
	return out
}

// allServiceCIDRs is sorted, and empty when the API server tells none.
func (t *tables) allServiceCIDRs() []netip.Prefix {
	all := slices.Concat(t.serviceCIDRs.Values()...)
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

// askPatience bounds one question, and askAgain is how often it is asked until there is an answer.
const askPatience = 10 * time.Second

var askAgain = wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: 9, Cap: 30 * time.Second}

// hasServiceCIDRs asks until it is answered; false too when ctx ends.
func (k *kube) hasServiceCIDRs(ctx context.Context, log logr.Logger) (has bool) {
	_ = askAgain.DelayFunc().Until(ctx, true, false, func(ctx context.Context) (done bool, err error) {
		if has, err = k.serves(ctx, networkingv1.SchemeGroupVersion.String(), serviceCIDRs); err != nil {
			log.V(1).Info("cannot ask the API server whether it has ServiceCIDRs", "err", err)
		} else if !has {
			log.Info("the API server has no ServiceCIDRs, so Services are where --service-cidr says")
		}
		return err == nil, nil
	})
	return has
}

// serves reads the list of resources of an API group.
func (k *kube) serves(ctx context.Context, group, resource string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	raw, err := k.networks.Get().AbsPath("/apis/"+group).SetHeader("Accept", "application/json").DoRaw(ctx)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	var list metav1.APIResourceList
	if err == nil {
		err = json.Unmarshal(raw, &list)
	}
	if err != nil {
		return false, fmt.Errorf("list the resources of %s: %w", group, err)
	}
	return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == resource }), nil
}

// optionalSource is the watch of a kind that not every API server has. One that has it not has told all there is.
type optionalSource struct {
	make   func() cache.Controller
	served func(context.Context) bool
}

func (o *optionalSource) informer() cache.Controller {
	return &optionalInformer{Controller: o.make(), served: o.served}
}

type optionalInformer struct {
	cache.Controller
	served func(context.Context) bool
	absent atomic.Bool
}

func (o *optionalInformer) RunWithContext(ctx context.Context) {
	if o.served(ctx) {
		o.Controller.RunWithContext(ctx)
		return
	}
	o.absent.Store(true)
}

func (o *optionalInformer) HasSynced() bool { return o.absent.Load() || o.Controller.HasSynced() }
