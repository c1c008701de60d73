package feed

import (
	"context"
	"fmt"

	"k8s.io/client-go/tools/cache"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"

	"github.com/heddle-net/heddle/controller/state"
)

// Start feeds every kind into the store and returns when all that exists is there. The informers go on feeding for as long
// as the cache runs. Kinds that are not served are not asked for.
func Start(ctx context.Context, informers ctrlcache.Informers, store *state.Store, served Served) error {
	config := store.Config()
	starts := []func() (cache.ResourceEventHandlerRegistration, error){
		func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.Vpcs, Vpc)
		},
		func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.Subnets, func(s *v1.Subnet) *state.Subnet { return Subnet(s, config.DefaultVpc) })
		},
		func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.Nodes, Node)
		},
		func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.Places, Place)
		},
		func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.Namespaces, Namespace)
		},
		func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.Pods, Pod)
		},
		func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.IPs, IP)
		},
		func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.Services, Service)
		},
		func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.EndpointSlices, EndpointSlice)
		},
		func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.Policies, NetworkPolicy)
		},
		func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.SwitchLBRules, func(r *v1.SwitchLBRule) *state.SwitchLBRule { return SwitchLBRule(r, config.DefaultVpc) })
		},
		func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.RuleServices, RuleService)
		},
		func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.SecurityGroups, SecurityGroup)
		},
		func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.Domains, Domain)
		},
		func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.Mirrors, TrafficMirror)
		},
	}
	if served.ServiceCIDRs {
		starts = append(starts, func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.ServiceCIDRs, ServiceCIDR)
		})
	}
	if served.AdminPolicies {
		starts = append(starts, func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.AdminPolicies, AdminNetworkPolicy)
		})
	}
	if served.BaselinePolicies {
		starts = append(starts, func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.BaselinePolicies, BaselineAdminNetworkPolicy)
		})
	}
	if served.ClusterPolicies {
		starts = append(starts, func() (cache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, store.ClusterPolicies, ClusterNetworkPolicy)
		})
	}
	var synced []cache.InformerSynced
	for _, start := range starts {
		registration, err := start()
		if err != nil {
			return err
		}
		synced = append(synced, registration.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return fmt.Errorf("read the cluster: %w", ctx.Err())
	}
	return nil
}

// watch puts what convert makes of each object into the table; nil means that the compilers need not know of it.
func watch[K any, PK interface {
	client.Object
	*K
}, T any](ctx context.Context, informers ctrlcache.Informers, table *state.Table[T], convert func(PK) *T) (cache.ResourceEventHandlerRegistration, error) {
	kind := PK(new(K))
	informer, err := informers.GetInformer(ctx, kind)
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", kind, err)
	}
	put := func(obj any) {
		o := obj.(PK)
		if t := convert(o); t != nil {
			table.Put(keyOf(o), t)
		} else {
			table.Delete(keyOf(o))
		}
	}
	return informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    put,
		UpdateFunc: func(_, obj any) { put(obj) },
		DeleteFunc: func(obj any) {
			if late, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = late.Obj
			}
			table.Delete(keyOf(obj.(PK)))
		},
	})
}

// keyOf is namespace/name, or the name of a cluster-scoped object.
func keyOf(obj client.Object) string {
	if obj.GetNamespace() == "" {
		return obj.GetName()
	}
	return obj.GetNamespace() + "/" + obj.GetName()
}

// Trim drops what no part of the controller reads before an object enters the cache: a Pod is 10 kB, of which 1 kB is used.
func Trim(obj any) (any, error) {
	switch o := obj.(type) {
	case *corev1.Pod:
		o.Spec = corev1.PodSpec{
			NodeName: o.Spec.NodeName, HostNetwork: o.Spec.HostNetwork,
			Containers: namedPorts(o.Spec.Containers), InitContainers: namedPorts(o.Spec.InitContainers),
		}
		o.Status = corev1.PodStatus{Phase: o.Status.Phase}
	case *corev1.Node:
		o.Spec = corev1.NodeSpec{}
		o.Status = corev1.NodeStatus{Addresses: o.Status.Addresses}
	}
	if o, ok := obj.(client.Object); ok {
		o.SetManagedFields(nil)
	}
	return obj, nil
}
