package decide

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/ipam"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
)

// pod gives a Pod that is on a node its address and writes the result into its annotations, or lets go of that of a Pod
// that is gone or finished.
func (a *Addresses) pod(ctx context.Context, req reconcile.Request) error {
	owner := nb.Owner{Kind: state.KindPod, Key: req.Namespace + "/" + req.Name}
	ip := state.PodPort(req.Namespace, req.Name)
	var obj corev1.Pod
	err := a.client.Get(ctx, req.NamespacedName, &obj)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get Pod %s: %w", req, err)
	}
	if err != nil || !feed.NeedsNetwork(&obj) {
		return a.gone(ctx, req, owner, ip, nil)
	}
	a.tell(req, &obj, owner)
	a.qos.look(&obj)
	h := holder{ip: ip, namespace: obj.Namespace, name: obj.Name, node: obj.Spec.NodeName, uid: string(obj.UID)}
	want, subnets, err := a.podWants(ctx, &obj, h)
	if err != nil {
		a.alive(owner, req)
		a.setWaiting(req, subnets)
		a.warn(req, &obj, reasonInvalidPod, err.Error())
		return nil
	}
	if wait, err := a.vacate(ctx, req, owner, h, subnets, want); wait || err != nil {
		return err
	}
	lease, subnet, err := a.give(ctx, req, &obj, h, subnets, want)
	if err != nil || subnet == "" {
		return err
	}
	if keys := v1.UnsupportedAnnotations(obj.Annotations); len(keys) > 0 && obj.Annotations[v1.AnnotationAllocated] != v1.AnnotationTrue {
		a.warn(req, &obj, reasonUnsupported, "not supported yet, without effect: annotation "+strings.Join(keys, ", "))
	}
	return a.annotate(ctx, req, &obj, a.podAnnotations(subnet, lease))
}

// vacate has the name give back what an earlier Pod had, if this one wants something else, and reports true until the port that
// had it is gone: nobody gets the address before, this Pod neither.
func (a *Addresses) vacate(ctx context.Context, req reconcile.Request, owner nb.Owner, h holder, subnets []string, want ipam.Request) (wait bool, err error) {
	switch {
	case !a.ledger.outgrown(h, subnets, want):
		a.alive(owner, req)
		return false, nil
	case a.vacated(req):
		return false, a.ledger.release(ctx, h.ip)
	}
	if err := a.ledger.discard(ctx, h.ip); err != nil {
		return true, err
	}
	a.confirm(owner, req)
	return true, nil
}

// vacated tells, once, whether the port is known to be gone since it was asked for.
func (a *Addresses) vacated(req reconcile.Request) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	asked, gone := a.vacating[req], a.confirmed[req]
	a.vacating[req] = true
	delete(a.confirmed, req) // what was asked for the earlier Pod does not count
	if asked && gone {
		delete(a.vacating, req)
	}
	return asked && gone
}

// podWants reads what the Pod asks for. A Pod that has its address already keeps it, whatever its annotations say by now.
func (a *Addresses) podWants(ctx context.Context, obj *corev1.Pod, h holder) (ipam.Request, []string, error) {
	had, known := a.ledger.record(h.ip)
	takenOver := known && had.holder == "" && obj.Annotations[v1.AnnotationAllocated] == v1.AnnotationTrue
	if known && had.holder == h.uid || takenOver {
		return ipam.Request{}, []string{had.subnet}, nil
	}
	subnets, err := a.podSubnets(ctx, obj, a.ledger.heldIn(h))
	if err != nil {
		return ipam.Request{}, nil, err
	}
	static, err := staticAddresses(obj.Annotations[v1.AnnotationIPAddress])
	if err != nil {
		return ipam.Request{}, subnets, err
	}
	mac := obj.Annotations[v1.AnnotationMACAddress]
	if _, err := ipam.ParseMAC(mac); mac != "" && err != nil {
		return ipam.Request{}, subnets, fmt.Errorf("annotation %s: %w", v1.AnnotationMACAddress, err)
	}
	return ipam.Request{Static: static, MAC: mac}, subnets, nil
}

// podSubnets are the one that the Pod names, or that of an IP object which waits for a Pod of this name, or those of its
// Namespace.
func (a *Addresses) podSubnets(ctx context.Context, obj *corev1.Pod, had string) ([]string, error) {
	name := cmp.Or(obj.Annotations[v1.AnnotationLogicalSwitch], had)
	if name == a.store.Config().JoinSubnet {
		return nil, fmt.Errorf("annotation %s: the Subnet %s is for nodes", v1.AnnotationLogicalSwitch, name)
	}
	if s := a.ledger.subnet(name); s.Subnet != nil && s.L2 {
		return nil, fmt.Errorf("annotation %s: the Subnet %s is for Services of type LoadBalancer", v1.AnnotationLogicalSwitch, name)
	}
	if name != "" {
		return []string{name}, nil
	}
	return a.binding.subnets(ctx, obj.Namespace, obj.ResourceVersion)
}

// staticAddresses reads "v4", "v6" or "v4,v6".
func staticAddresses(text string) ([]netip.Addr, error) {
	addrs, err := feed.ParseAddrs(text)
	if err != nil {
		return nil, fmt.Errorf("annotation %s: %w", v1.AnnotationIPAddress, err)
	}
	if len(addrs) > 2 || len(addrs) == 2 && addrs[0].Is4() == addrs[1].Is4() {
		return nil, fmt.Errorf("annotation %s: %q: at most one address of each family can be asked for", v1.AnnotationIPAddress, text)
	}
	return addrs, nil
}

// podAnnotations are the record that the node's daemon, and people, read.
func (a *Addresses) podAnnotations(subnet string, lease ipam.Lease) map[string]string {
	set := leaseAnnotations(a.ledger.subnet(subnet).Subnet, lease)
	set[v1.AnnotationRouted] = v1.AnnotationTrue
	return set
}

// leaseAnnotations describe a lease in its Subnet: cidr and gateway are of the families that the lease has.
func leaseAnnotations(obj *state.Subnet, lease ipam.Lease) map[string]string {
	var cidrs []netip.Prefix
	var gateways []netip.Addr
	for i, cidr := range obj.CIDRs {
		if cidr.Contains(lease.V4) || cidr.Contains(lease.V6) {
			cidrs, gateways = append(cidrs, cidr), append(gateways, obj.Gateways[i])
		}
	}
	return map[string]string{
		v1.AnnotationAllocated:     v1.AnnotationTrue,
		v1.AnnotationLogicalSwitch: obj.Name,
		v1.AnnotationLogicalRouter: obj.Vpc,
		v1.AnnotationIPAddress:     joinAddrs(lease.Addrs()),
		v1.AnnotationMACAddress:    lease.MAC.String(),
		v1.AnnotationCIDR:          joinAddrs(cidrs),
		v1.AnnotationGateway:       joinAddrs(gateways),
	}
}

// annotate writes annotations that differ, in one patch, and only if the object is still the same one.
func (a *Addresses) annotate(ctx context.Context, req reconcile.Request, obj client.Object, want map[string]string) error {
	if a.older(req, obj) {
		return nil
	}
	have := obj.GetAnnotations()
	differ := make(map[string]any)
	for k, v := range want {
		if old, ok := have[k]; !ok || old != v {
			differ[k] = v
		}
	}
	if len(differ) == 0 {
		return nil
	}
	patch := client.RawPatch(types.MergePatchType, mustJSON(map[string]any{
		"metadata": map[string]any{"uid": string(obj.GetUID()), "annotations": differ},
	}))
	answer := obj.DeepCopyObject().(client.Object)
	err := a.client.Patch(ctx, answer, patch)
	if goneMeanwhile(err) {
		return nil // its deletion, or its successor, is on the way to us
	}
	if err != nil {
		return fmt.Errorf("annotate %s: %w", client.ObjectKeyFromObject(obj), err)
	}
	a.wrote(req, answer)
	return nil
}

// wrote remembers what our last patch has made of an object.
func (a *Addresses) wrote(req reconcile.Request, answer client.Object) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.annotated[req] = answer.GetResourceVersion()
}

// older tells whether the object, which comes from the cache, is from before our last patch: it will come to us again.
func (a *Addresses) older(req reconcile.Request, obj client.Object) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	written, ok := a.annotated[req]
	if !ok {
		return false
	}
	if order, err := resourceversion.CompareResourceVersion(obj.GetResourceVersion(), written); err == nil && order < 0 {
		return true
	}
	delete(a.annotated, req)
	return false
}

// mustJSON encodes maps of strings, which cannot fail.
func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
