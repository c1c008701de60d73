package decide

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// Domains keeps a DNSNameResolver for each of the domainNames of policies, and takes addresses out of them that do not hold any more. The
// daemons put them in.
type Domains struct {
	client client.Client
	served feed.Served
}

// labelManagedBy tells objects that Heddle made from those of somebody else.
const labelManagedBy = "app.kubernetes.io/managed-by"

// allNames asks which DNSNameResolvers there have to be; every other request is about one of them.
var allNames = named("")

// Reconcile implements reconcile.Reconciler.
func (r *Domains) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if req == allNames {
		return reconcile.Result{}, r.keep(ctx)
	}
	var obj v1.DNSNameResolver
	if err := r.client.Get(ctx, req.NamespacedName, &obj); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	return r.expire(ctx, &obj, time.Now())
}

// keep makes the objects that are missing, and removes those of ours that no policy names.
func (r *Domains) keep(ctx context.Context) error {
	wanted, err := r.wanted(ctx)
	if err != nil {
		return err
	}
	var list v1.DNSNameResolverList
	if err := r.client.List(ctx, &list, client.MatchingLabels{labelManagedBy: managedBy}); err != nil {
		return fmt.Errorf("list DNSNameResolvers: %w", err)
	}
	var errs []error
	for i := range list.Items {
		obj := &list.Items[i]
		if wanted[obj.Spec.Name] && obj.Name == state.DomainKey(obj.Spec.Name) {
			delete(wanted, obj.Spec.Name)
		} else if err := r.client.Delete(ctx, obj, client.Preconditions{UID: &obj.UID}); client.IgnoreNotFound(err) != nil {
			errs = append(errs, fmt.Errorf("delete DNSNameResolver %s: %w", obj.Name, err))
		}
	}
	for name := range wanted {
		obj := &v1.DNSNameResolver{
			ObjectMeta: metav1.ObjectMeta{Name: state.DomainKey(name), Labels: map[string]string{labelManagedBy: managedBy}},
			Spec:       v1.DNSNameResolverSpec{Name: name},
		}
		if err := r.client.Create(ctx, obj); err != nil && !apierrors.IsAlreadyExists(err) {
			errs = append(errs, fmt.Errorf("create the DNSNameResolver of %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// wanted are the names that policies allow.
func (r *Domains) wanted(ctx context.Context) (map[string]bool, error) {
	names := make(map[string]bool)
	add := func(p *state.ClusterPolicy) {
		for _, rule := range p.Rules {
			for _, d := range rule.Domains {
				names[state.DomainName(d)] = true
			}
		}
	}
	var admin v1alpha1.AdminNetworkPolicyList
	var baseline v1alpha1.BaselineAdminNetworkPolicyList
	var cluster v1alpha2.ClusterNetworkPolicyList
	for _, kind := range []struct {
		served bool
		list   client.ObjectList
	}{{r.served.AdminPolicies, &admin}, {r.served.BaselinePolicies, &baseline}, {r.served.ClusterPolicies, &cluster}} {
		if !kind.served {
			continue
		}
		if err := r.client.List(ctx, kind.list); err != nil {
			return nil, fmt.Errorf("list policies: %w", err)
		}
	}
	for i := range admin.Items {
		add(feed.AdminNetworkPolicy(&admin.Items[i]))
	}
	for i := range baseline.Items {
		add(feed.BaselineAdminNetworkPolicy(&baseline.Items[i]))
	}
	for i := range cluster.Items {
		add(feed.ClusterNetworkPolicy(&cluster.Items[i]))
	}
	return names, nil
}

// expire takes out what does not hold any more, and comes back when the next address will not.
func (r *Domains) expire(ctx context.Context, obj *v1.DNSNameResolver, now time.Time) (reconcile.Result, error) {
	var next time.Time
	removed := false
	names := obj.Status.ResolvedNames
	for i := range names {
		names[i].ResolvedAddresses = slices.DeleteFunc(names[i].ResolvedAddresses, func(a v1.DNSNameResolverResolvedAddress) bool {
			ends := a.Ends()
			if !ends.After(now) {
				removed = true
				return true
			}
			if next.IsZero() || ends.Before(next) {
				next = ends
			}
			return false
		})
	}
	obj.Status.ResolvedNames = slices.DeleteFunc(names, func(n v1.DNSNameResolverResolvedName) bool { return len(n.ResolvedAddresses) == 0 })
	if removed {
		if err := r.client.Status().Update(ctx, obj); client.IgnoreNotFound(err) != nil {
			return reconcile.Result{}, fmt.Errorf("write the status of DNSNameResolver %s: %w", obj.Name, err)
		}
	}
	if next.IsZero() {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{RequeueAfter: next.Sub(now)}, nil
}

func (d *Deciders) setupDomains(loaded <-chan struct{}, served feed.Served) error {
	all := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request { return []reconcile.Request{allNames} })
	b := builder.ControllerManagedBy(d.mgr).Named("dnsnameresolver").WithOptions(options(1)).
		For(&v1.DNSNameResolver{}).
		Watches(&v1.DNSNameResolver{}, all, builder.WithPredicates(predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }}))
	for _, kind := range []struct {
		served bool
		object client.Object
	}{
		{served.AdminPolicies, &v1alpha1.AdminNetworkPolicy{}},
		{served.BaselinePolicies, &v1alpha1.BaselineAdminNetworkPolicy{}},
		{served.ClusterPolicies, &v1alpha2.ClusterNetworkPolicy{}},
	} {
		if kind.served {
			b = b.Watches(kind.object, all)
		}
	}
	if err := b.Complete(after(loaded, &Domains{client: d.mgr.GetClient(), served: served})); err != nil {
		return fmt.Errorf("set up DNSNameResolvers: %w", err)
	}
	return nil
}
