package decide

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/heddle-net/heddle/controller/ipam"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// errMet says that an IP object was there that we did not know of. It is known now: try again.
var errMet = errors.New("was there already")

// meet takes up an IP object that we did not know of: an earlier attempt may have failed halfway, somebody may have made it by
// hand a moment ago.
func (l *Ledger) meet(ctx context.Context, ip, subnet string) error {
	l.free(ip, subnet)
	var obj v1.IP
	if err := l.live.Get(ctx, types.NamespacedName{Name: ip}, &obj); err != nil {
		return fmt.Errorf("get IP %s: %w", ip, err)
	}
	if err := l.adopt(&obj); err != nil {
		return err
	}
	return fmt.Errorf("IP %s: %w", ip, errMet)
}

// createIP writes the IP object.
func (l *Ledger) createIP(ctx context.Context, h holder, want record) (record, error) {
	obj := &v1.IP{
		ObjectMeta: metav1.ObjectMeta{
			Name: h.ip, Finalizers: []string{v1.Finalizer}, Annotations: map[string]string{annotationHolder: h.uid},
			Labels: map[string]string{v1.LabelSubnet: want.subnet, v1.LabelNodeName: labelValue(h.node), v1.LabelIPReserved: "false"},
		},
		Spec: v1.IPSpec{
			PodName: h.name, Namespace: h.namespace, Subnet: want.subnet, NodeName: h.node, MacAddress: want.lease.MAC.String(),
			IPAddress: joinAddrs(want.lease.Addrs()), V4IPAddress: text(want.lease.V4), V6IPAddress: text(want.lease.V6),
			AttachIPs: []string{}, AttachMacs: []string{}, AttachSubnets: []string{},
		},
	}
	err := l.client.Create(ctx, obj)
	if err != nil {
		return want, fmt.Errorf("create IP %s: %w", h.ip, err)
	}
	want.uid = string(obj.UID)
	return want, nil
}

// labelValue is a name as the value of a label, which takes 63 characters at most; spec has it in any case.
func labelValue(name string) string {
	if len(name) > validation.LabelValueMaxLength {
		return ""
	}
	return name
}

// handOver records that a new Pod of the same name, perhaps on another node, has the address now.
func (l *Ledger) handOver(ctx context.Context, h holder, old record) error {
	patch := client.RawPatch(types.MergePatchType, mustJSON(map[string]any{
		"metadata": map[string]any{
			"uid":         old.uid,
			"annotations": map[string]any{annotationHolder: h.uid},
			"labels":      map[string]any{v1.LabelNodeName: labelValue(h.node)},
		},
		"spec": map[string]any{"nodeName": h.node, "podName": h.name, "namespace": h.namespace},
	}))
	if err := l.client.Patch(ctx, &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: h.ip}}, patch); err != nil {
		return fmt.Errorf("patch IP %s: %w", h.ip, err)
	}
	old.holder, old.node, old.found = h.uid, h.node, false
	l.remember(h.ip, old)
	return nil
}

// discard removes the IP object, and remembers that its address is still in use.
func (l *Ledger) discard(ctx context.Context, ip string) error {
	old, known := l.record(ip)
	if !known || old.leaving {
		return nil
	}
	if err := l.deleteIP(ctx, ip, old); err != nil {
		return err
	}
	old.leaving = true
	l.remember(ip, old)
	return nil
}

// deleteIP removes the object together with our finalizer; if it is another object of the name by now, nothing happens.
func (l *Ledger) deleteIP(ctx context.Context, ip string, old record) error {
	obj := &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: ip}}
	if err := l.unfinalize(ctx, obj, old.uid); err != nil {
		return err
	}
	err := l.client.Delete(ctx, obj, client.Preconditions{UID: (*types.UID)(&old.uid)})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete IP %s: %w", ip, err)
	}
	l.forget(ip)
	return nil
}

func (l *Ledger) unfinalize(ctx context.Context, obj *v1.IP, uid string) error {
	patch := client.RawPatch(types.MergePatchType, mustJSON(map[string]any{"metadata": map[string]any{"uid": uid, "finalizers": nil}}))
	if err := l.client.Patch(ctx, obj, patch); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove the finalizer of IP %s: %w", obj.Name, err)
	}
	return nil
}

func recordOf(obj *v1.IP, lease ipam.Lease) record {
	return record{
		uid: string(obj.UID), name: nameOf(obj.Spec.Namespace, obj.Spec.PodName), holder: obj.Annotations[annotationHolder], node: obj.Spec.NodeName, subnet: obj.Spec.Subnet,
		lease: lease, found: true,
	}
}

// joinAddrs prints "v4", "v6" or "v4,v6".
func joinAddrs[T fmt.Stringer](values []T) string {
	s := ""
	for i, v := range values {
		if i > 0 {
			s += ","
		}
		s += v.String()
	}
	return s
}

// text prints an address, nothing for none.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
