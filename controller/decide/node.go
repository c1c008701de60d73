package decide

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/ipam"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
)

// node gives a Node its address on the join Subnet, or cleans up behind one that is gone: its address, and the Chassis row
// that its ovn-controller can no longer remove itself.
func (a *Addresses) node(ctx context.Context, req reconcile.Request, name string) error {
	owner := nb.Owner{Kind: state.KindNode, Key: name}
	var obj corev1.Node
	err := a.client.Get(ctx, types.NamespacedName{Name: name}, &obj)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get Node %s: %w", name, err)
	}
	if err != nil {
		return a.gone(ctx, req, owner, req.Name, func() error { return a.chassis(ctx, name) })
	}
	a.alive(owner, req)
	a.tell(req, &obj, owner)
	a.misplaced(req, &obj)
	h := holder{ip: req.Name, name: name, node: name, uid: string(obj.UID)}
	join := a.store.Config().JoinSubnet
	lease, subnet, err := a.give(ctx, req, &obj, h, []string{join}, ipam.Request{})
	if err != nil || subnet == "" {
		return err
	}
	want := leaseAnnotations(a.ledger.subnet(join).Subnet, lease)
	want[v1.AnnotationPortName] = req.Name
	delete(want, v1.AnnotationLogicalRouter)
	return a.annotate(ctx, req, &obj, want)
}

// misplaced warns of a Node whose address lies in the range of a Subnet that was in force before it: Pods reach a Pod there, or
// nobody. (A Subnet that comes after the Node is refused.) Among the addresses of the nodes' own network, it is one that a Service has.
func (a *Addresses) misplaced(req reconcile.Request, obj *corev1.Node) {
	var found []string
	a.store.Inspect(func(v *state.View) {
		for _, s := range v.SubnetsOf(v.Config().DefaultVpc) {
			for _, ip := range feed.Node(obj).InternalIPs {
				if s.L2 {
					found = append(found, a.takenByBalancer(s.Name, ip)...)
				} else if s.Accepted && slices.ContainsFunc(s.CIDRs, func(cidr netip.Prefix) bool { return cidr.Contains(ip) }) {
					found = append(found, fmt.Sprintf("the Node's address %s lies in the range of Subnet %s", ip, s.Name))
				}
			}
		}
	})
	if len(found) > 0 {
		a.warn(req, obj, reasonNodeConflict, strings.Join(found, "; "))
	}
}

func (a *Addresses) takenByBalancer(subnet string, ip netip.Addr) []string {
	pool, ok := a.ledger.pools.Pool(subnet)
	if !ok || pool.Holder(ip) == "" {
		return nil
	}
	return []string{fmt.Sprintf("the Node's address %s is held by %s in Subnet %s", ip, pool.Holder(ip), subnet)}
}

// goneMeanwhile tells that the object of a patch was deleted, or deleted and made anew, since it was read.
func goneMeanwhile(err error) bool { return apierrors.IsNotFound(err) || apierrors.IsConflict(err) }
