package decide

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-net/heddle/controller/ipam"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// reserved tells whether an IP object holds its address without a Pod: the label says so, or it was made by hand. We write
// "false" into what we make, as Kube-OVN does.
func reserved(obj *v1.IP) bool { return obj.Labels[v1.LabelIPReserved] != "false" }

// reservation looks after an IP object that is neither a Pod's nor a Node's.
func (a *Addresses) reservation(ctx context.Context, req reconcile.Request) error {
	var obj v1.IP
	err := a.client.Get(ctx, types.NamespacedName{Name: req.Name}, &obj)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get IP %s: %w", req.Name, err)
	}
	if err != nil {
		return a.ledger.release(ctx, req.Name)
	}
	return a.reserve(ctx, req, &obj)
}

// reserve holds the address for as long as the object is there, and frees it when the object is deleted.
func (a *Addresses) reserve(ctx context.Context, req reconcile.Request, obj *v1.IP) error {
	if !obj.DeletionTimestamp.IsZero() {
		a.served(req)
		a.ledger.remember(obj.Name, recordOf(obj, a.ledger.leaseOf(obj)))
		return a.ledger.release(ctx, obj.Name)
	}
	a.setWaiting(req, []string{obj.Spec.Subnet})
	if err := a.ledger.adopt(obj); err != nil {
		a.warn(req, obj, reasonAcquireFailed, explain(err))
		return nil
	}
	a.served(req)
	return a.markReserved(ctx, obj)
}

// markReserved shows in the object that it counts: finalizer, labels and all addresses as in those that we make.
func (a *Addresses) markReserved(ctx context.Context, obj *v1.IP) error {
	want := obj.DeepCopy()
	if lease := a.ledger.leaseOf(obj); lease != (ipam.Lease{}) {
		want.Spec.V4IPAddress, want.Spec.V6IPAddress, want.Spec.IPAddress = text(lease.V4), text(lease.V6), joinAddrs(lease.Addrs())
		want.Spec.MacAddress = lease.MAC.String()
	}
	controllerutil.AddFinalizer(want, v1.Finalizer)
	if want.Labels == nil {
		want.Labels = make(map[string]string)
	}
	want.Labels[v1.LabelIPReserved] = v1.AnnotationTrue
	want.Labels[v1.LabelSubnet] = obj.Spec.Subnet
	patch := client.MergeFrom(obj)
	if data, err := patch.Data(want); err != nil || string(data) == "{}" {
		return err
	}
	if err := a.client.Patch(ctx, want, patch); err != nil && !goneMeanwhile(err) {
		return fmt.Errorf("mark IP %s as reserved: %w", obj.Name, err)
	}
	return nil
}
