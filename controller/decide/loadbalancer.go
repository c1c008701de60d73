package decide

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-net/heddle/controller/ipam"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// reasonNoNode says that no node is in the network of an address: nobody can answer for it.
const reasonNoNode = "NoNode"

// balancer gives a Service of type LoadBalancer that asks us for addresses those of a pool, and shows them in its status, from where
// compilers and nodes take them. What it has it keeps until it asks for something else, or not any more. The IP object comes first,
// and goes last.
func (a *Addresses) balancer(ctx context.Context, req reconcile.Request, service types.NamespacedName) error {
	var obj corev1.Service
	err := a.client.Get(ctx, service, &obj)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get Service %s: %w", service, err)
	}
	if err != nil {
		return a.balancerGone(ctx, req, service)
	}
	if a.older(req, &obj) {
		return nil
	}
	pool, asks := v1.AsksForAddress(&obj)
	if !asks {
		return a.takeBack(ctx, req, &obj)
	}
	if err := a.giveBalancer(ctx, req, &obj, pool); err != nil {
		return err
	}
	has, _ := a.ledger.record(req.Name)
	return a.show(ctx, req, &obj, has.lease)
}

// giveBalancer leaves the Service what it has, if it cannot have what it asks for.
func (a *Addresses) giveBalancer(ctx context.Context, req reconcile.Request, obj *corev1.Service, pool string) error {
	want, pools, err := a.balancerWants(obj, pool, req.Name)
	if err != nil {
		a.setWaiting(req, []string{pool})
		a.warn(req, obj, reasonAcquireFailed, err.Error())
		return nil
	}
	if a.misfits(req.Name, pools, want) {
		if err := errors.Join(a.hide(ctx, req, obj), a.ledger.release(ctx, req.Name)); err != nil {
			return err
		}
	}
	h := holder{ip: req.Name, namespace: obj.Namespace, name: obj.Name, uid: string(obj.UID)}
	lease, subnet, err := a.give(ctx, req, obj, h, pools, want)
	if err != nil || subnet == "" {
		return err
	}
	a.reachable(req, obj, subnet, lease)
	return nil
}

// balancerWants reads what the Service asks for, and where it may come from: the pool that it names, or the one that it has
// addresses of, or all that can serve it, by name.
func (a *Addresses) balancerWants(obj *corev1.Service, pool, ip string) (ipam.Request, []string, error) {
	var want ipam.Request
	var err error
	if want.Static, err = balancerStatic(obj); err != nil {
		return want, nil, err
	}
	pools := a.ledger.balancerPools()
	if pool != "" {
		if pools = slices.DeleteFunc(pools, func(s *state.Subnet) bool { return s.Name != pool }); len(pools) == 0 {
			return want, nil, fmt.Errorf("annotation %s: there is no Subnet %s of provider %s that is Ready", v1.AnnotationServicePool, pool, v1.ProviderL2)
		}
	}
	if len(pools) == 0 {
		return want, nil, fmt.Errorf("there is no Subnet of provider %s that is Ready", v1.ProviderL2)
	}
	old, _ := a.ledger.record(ip)
	slices.SortStableFunc(pools, func(s, t *state.Subnet) int { return cmp.Compare(order(s, old.subnet), order(t, old.subnet)) })
	return a.balancerChoice(obj, want, pools)
}

func order(s *state.Subnet, first string) int {
	if s.Name == first {
		return 0
	}
	return 1
}

// balancerChoice keeps the pools that have what is asked for. Of families that are only preferred, the first pool decides.
func (a *Addresses) balancerChoice(obj *corev1.Service, want ipam.Request, pools []*state.Subnet) (ipam.Request, []string, error) {
	var names []string
	var reasons error
	for _, s := range pools {
		families, err := familiesOf(obj, s, want.Static)
		switch {
		case err != nil:
			reasons = errors.Join(reasons, err)
		case len(names) == 0:
			want.Families, names = families, []string{s.Name}
		case slices.Equal(want.Families, families):
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		return want, nil, reasons
	}
	return want, names, nil
}

// familiesOf are the families of which the Service gets an address in that pool.
func familiesOf(obj *corev1.Service, pool *state.Subnet, static []netip.Addr) ([]ipam.Family, error) {
	optional := obj.Spec.IPFamilyPolicy != nil && *obj.Spec.IPFamilyPolicy == corev1.IPFamilyPolicyPreferDualStack
	var families []ipam.Family
	for _, name := range obj.Spec.IPFamilies {
		family := ipam.IPv4
		if name == corev1.IPv6Protocol {
			family = ipam.IPv6
		}
		has := slices.ContainsFunc(pool.CIDRs, func(c netip.Prefix) bool { return ipam.FamilyOf(c.Addr()) == family })
		if has {
			families = append(families, family)
		} else if !optional {
			return nil, fmt.Errorf("the Subnet %s has no %s addresses", pool.Name, family)
		}
	}
	if len(families) == 0 {
		return nil, fmt.Errorf("the Subnet %s has no addresses of the Service's families", pool.Name)
	}
	for _, addr := range static {
		switch {
		case !slices.Contains(families, ipam.FamilyOf(addr)):
			return nil, fmt.Errorf("%s is asked for, but the Service is not %s", addr, ipam.FamilyOf(addr))
		case !slices.ContainsFunc(pool.CIDRs, func(c netip.Prefix) bool { return c.Contains(addr) }):
			return nil, &ipam.OutsideError{Addr: addr, CIDRs: pool.CIDRs}
		}
	}
	return families, nil
}

// balancerStatic reads the addresses that the Service asks for: Kube-OVN's annotation, else spec.loadBalancerIP.
func balancerStatic(obj *corev1.Service) ([]netip.Addr, error) {
	if text := obj.Annotations[v1.AnnotationIPAddress]; text != "" {
		return staticAddresses(text)
	}
	if obj.Spec.LoadBalancerIP == "" {
		return nil, nil
	}
	addr, err := netip.ParseAddr(obj.Spec.LoadBalancerIP)
	if err != nil || addr.Zone() != "" {
		return nil, fmt.Errorf("spec.loadBalancerIP: %q is not an IP address", obj.Spec.LoadBalancerIP)
	}
	return []netip.Addr{addr.Unmap()}, nil
}

// balancerPools lists the Subnets that give addresses to Services, by name.
func (l *Ledger) balancerPools() []*state.Subnet {
	l.mu.Lock()
	defer l.mu.Unlock()
	var pools []*state.Subnet
	for _, s := range l.subnets {
		if s.L2 {
			pools = append(pools, s.Subnet)
		}
	}
	slices.SortFunc(pools, func(s, t *state.Subnet) int { return cmp.Compare(s.Name, t.Name) })
	return pools
}

// misfits tells whether what the Service has must go before it can have what it wants: it is of another pool, or of a family that is not
// wanted any more. Another address of the same pool is a move, which fails without a loss.
func (a *Addresses) misfits(ip string, pools []string, want ipam.Request) bool {
	old, known := a.ledger.record(ip)
	if !known {
		return false
	}
	return !slices.Contains(pools, old.subnet) ||
		slices.ContainsFunc(old.lease.Addrs(), func(addr netip.Addr) bool { return !slices.Contains(want.Families, ipam.FamilyOf(addr)) })
}

// reachable warns of an address in whose network no node is.
func (a *Addresses) reachable(req reconcile.Request, obj *corev1.Service, subnet string, lease ipam.Lease) {
	for _, cidr := range a.ledger.subnet(subnet).CIDRs {
		if (cidr.Contains(lease.V4) || cidr.Contains(lease.V6)) && !a.hasNode(cidr) {
			a.warn(req, obj, reasonNoNode, fmt.Sprintf("no Node has an InternalIP in %s of Subnet %s: nobody answers for its addresses", cidr, subnet))
			return
		}
	}
}

func (a *Addresses) hasNode(cidr netip.Prefix) (has bool) {
	a.store.Inspect(func(v *state.View) {
		for _, n := range v.Nodes() {
			has = has || slices.ContainsFunc(n.InternalIPs, cidr.Contains)
		}
	})
	return has
}

// show makes the status say which addresses the Service has, the first family first.
func (a *Addresses) show(ctx context.Context, req reconcile.Request, obj *corev1.Service, lease ipam.Lease) error {
	ingress := []corev1.LoadBalancerIngress{}
	mode := corev1.LoadBalancerIPModeVIP
	addrs := lease.Addrs()
	if len(obj.Spec.IPFamilies) > 0 && obj.Spec.IPFamilies[0] == corev1.IPv6Protocol {
		slices.Reverse(addrs)
	}
	for _, addr := range addrs {
		ingress = append(ingress, corev1.LoadBalancerIngress{IP: addr.String(), IPMode: &mode})
	}
	return a.writeIngress(ctx, req, obj, ingress)
}

func (a *Addresses) writeIngress(ctx context.Context, req reconcile.Request, obj *corev1.Service, ingress []corev1.LoadBalancerIngress) error {
	if apiequality.Semantic.DeepEqual(obj.Status.LoadBalancer.Ingress, ingress) {
		return nil
	}
	patch := client.RawPatch(types.MergePatchType, mustJSON(map[string]any{
		"metadata": map[string]any{"uid": string(obj.UID)}, "status": map[string]any{"loadBalancer": map[string]any{"ingress": ingress}},
	}))
	answer := obj.DeepCopy()
	err := a.client.Status().Patch(ctx, answer, patch)
	if goneMeanwhile(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("show the addresses of Service %s: %w", req.Name, err)
	}
	obj.Status = answer.Status
	a.wrote(req, answer)
	return nil
}

// hide takes the addresses out of the status before anybody else can have them. The rest of the status is somebody else's.
func (a *Addresses) hide(ctx context.Context, req reconcile.Request, obj *corev1.Service) error {
	has, _ := a.ledger.record(req.Name)
	left := slices.DeleteFunc(slices.Clone(obj.Status.LoadBalancer.Ingress), func(i corev1.LoadBalancerIngress) bool {
		addr, err := netip.ParseAddr(i.IP)
		return err == nil && slices.Contains(has.lease.Addrs(), addr.Unmap())
	})
	return a.writeIngress(ctx, req, obj, left)
}

// takeBack ends what a Service has that asks us no more.
func (a *Addresses) takeBack(ctx context.Context, req reconcile.Request, obj *corev1.Service) error {
	a.served(req)
	if err := a.hide(ctx, req, obj); err != nil {
		return err
	}
	if kept, err := a.outlives(ctx, req, req.Name); kept || err != nil {
		return err
	}
	return a.ledger.release(ctx, req.Name)
}

// balancerGone releases the addresses of a Service that is deleted.
func (a *Addresses) balancerGone(ctx context.Context, req reconcile.Request, service types.NamespacedName) error {
	if kept, err := a.outlives(ctx, req, req.Name); kept || err != nil {
		return err
	}
	if old, known := a.ledger.record(req.Name); known && old.found {
		var obj corev1.Service
		if err := a.live.Get(ctx, service, &obj); err == nil {
			return fmt.Errorf("the Service %s %w", service, errLate)
		} else if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("ask for Service %s: %w", service, err)
		}
	}
	a.served(req)
	a.forget(req)
	return a.ledger.release(ctx, req.Name)
}

// balancerRequest leads from a Service to its IP object, which is what requests name.
func balancerRequest(_ context.Context, obj client.Object) []reconcile.Request {
	return []reconcile.Request{named(v1.BalancerIP(obj.GetNamespace(), obj.GetName()))}
}
