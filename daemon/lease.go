package daemon

import (
	"context"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/heddle-net/heddle/daemon/announce"
)

// Leases of nodes that may answer for load balancers: heddle-l2-<node>, with a label by which they are watched.
const (
	leasePrefix     = "heddle-l2-"
	labelLease      = "heddle.dev/lease"
	labelLeaseValue = "l2"
)

// longestPatience bounds what a Lease can ask for.
const longestPatience = time.Minute

// nodeLease is this node's own Lease. Calls must not overlap.
type nodeLease struct {
	client          rest.Interface
	namespace, node string
	uid             func() types.UID // of the Node; empty = not known yet

	last *coordinationv1.Lease // as it was when we wrote or read it
}

// isHeld reads the Lease.
func (l *nodeLease) isHeld(ctx context.Context) (bool, error) {
	lease := &coordinationv1.Lease{}
	err := l.client.Get().Namespace(l.namespace).Resource("leases").Name(leasePrefix + l.node).Do(ctx).Into(lease)
	if apierrors.IsNotFound(err) {
		l.last = nil
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get the Lease of this node: %w", err)
	}
	l.last = lease
	return ptr.Deref(lease.Spec.HolderIdentity, "") == l.node, nil
}

// renew writes the Lease, or that it is not held any more.
func (l *nodeLease) renew(ctx context.Context, held bool, patience time.Duration) error {
	if l.last == nil {
		if _, err := l.isHeld(ctx); err != nil {
			return err
		}
	}
	if l.last == nil && !held {
		return nil
	}
	lease := l.next(held, patience)
	request := l.client.Put().Name(lease.Name)
	if lease.ResourceVersion == "" {
		request = l.client.Post()
	}
	written := &coordinationv1.Lease{}
	if err := request.Namespace(l.namespace).Resource("leases").Body(lease).Do(ctx).Into(written); err != nil {
		l.last = nil // read it anew
		return fmt.Errorf("write the Lease of this node: %w", err)
	}
	l.last = written
	return nil
}

// next is the Lease to be written. It goes with the Node.
func (l *nodeLease) next(held bool, patience time.Duration) *coordinationv1.Lease {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: leasePrefix + l.node}}
	if l.last != nil {
		lease = l.last.DeepCopy()
	}
	if uid := l.uid(); uid != "" {
		lease.OwnerReferences = []metav1.OwnerReference{{APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Node", Name: l.node, UID: uid}}
	}
	lease.Labels = map[string]string{labelLease: labelLeaseValue}
	lease.Spec.HolderIdentity = ptr.To("")
	if held {
		lease.Spec.HolderIdentity = ptr.To(l.node)
	}
	lease.Spec.LeaseDurationSeconds = ptr.To(int32(patience / time.Second))
	lease.Spec.RenewTime = ptr.To(metav1.NowMicro())
	return lease
}

// leaseSource watches the Leases of all nodes.
func (k *kube) leaseSource(namespace string, peers *announce.Peers, wake ...signal) *source[*coordinationv1.Lease] {
	selector := labelLease + "=" + labelLeaseValue
	return &source[*coordinationv1.Lease]{
		example: &coordinationv1.Lease{}, wake: wake,
		lw:   cache.NewFilteredListWatchFromClient(k.coordination, "leases", namespace, func(o *metav1.ListOptions) { o.LabelSelector = selector }),
		trim: func(l *coordinationv1.Lease) *coordinationv1.Lease { return l },
		put: func(_ string, l *coordinationv1.Lease) {
			node := strings.TrimPrefix(l.Name, leasePrefix)
			seconds := time.Duration(ptr.Deref(l.Spec.LeaseDurationSeconds, 0))
			peers.Put(node, announce.Lease{
				Held: ptr.Deref(l.Spec.HolderIdentity, "") == node, Renewed: ptr.Deref(l.Spec.RenewTime, metav1.MicroTime{}).String(),
				Patience: min(seconds*time.Second, longestPatience),
			})
		},
		remove: func(key string) {
			_, name, _ := strings.Cut(key, "/")
			peers.Delete(strings.TrimPrefix(name, leasePrefix))
		},
	}
}
