package decide

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// Namespaces shows in each Namespace's annotations which Subnets serve its Pods. Nothing in Heddle reads them.
type Namespaces struct {
	client  client.Client
	binding *binding
	qos     *qosNotes
}

// Reconcile implements reconcile.Reconciler.
func (r *Namespaces) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var obj corev1.Namespace
	if err := r.client.Get(ctx, req.NamespacedName, &obj); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	r.qos.look(&obj)
	names, err := r.binding.subnets(ctx, obj.Name, "")
	if err != nil {
		return reconcile.Result{}, err
	}
	before := obj.DeepCopy()
	if obj.Annotations == nil {
		obj.Annotations = make(map[string]string)
	}
	if err := r.describe(ctx, names, obj.Annotations); err != nil {
		return reconcile.Result{}, err
	}
	patch := client.MergeFrom(before)
	if data, err := patch.Data(&obj); err != nil || string(data) == "{}" {
		return reconcile.Result{}, err
	}
	if err := r.client.Patch(ctx, &obj, patch); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("annotate Namespace %s: %w", obj.Name, err)
	}
	return reconcile.Result{}, nil
}

func (r *Namespaces) describe(ctx context.Context, names []string, into map[string]string) error {
	var cidrs, excludes []string
	for _, name := range names {
		var subnet v1.Subnet
		if err := r.client.Get(ctx, types.NamespacedName{Name: name}, &subnet); err != nil {
			return client.IgnoreNotFound(err) // it will come back to us when the Subnet is made
		}
		cidrs = append(cidrs, subnet.Spec.CIDRBlock)
		excludes = append(excludes, strings.Join(subnet.Spec.ExcludeIps, ","))
	}
	into[v1.AnnotationLogicalSwitch] = strings.Join(names, ",")
	into[v1.AnnotationCIDR] = strings.Join(cidrs, ";")
	into[v1.AnnotationExcludeIPs] = strings.Join(excludes, ";")
	return nil
}
