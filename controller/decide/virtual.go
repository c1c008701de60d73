package decide

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/ipam"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// virtual is an address that no port has: one of a SwitchLBRule in a Subnet, or the one from which endpoints in a Subnet are asked
// whether they serve. It is an IP object like others, named after what it is for.
type virtual struct {
	subnet string // empty when nobody needs it (any more)
	want   ipam.Request
	about  client.Object // hears why it cannot be had
}

func isVirtual(name string) bool {
	_, vip := state.ParseVIPName(name)
	_, check := state.ParseHealthCheckName(name)
	return vip || check
}

// virtual gives or releases such an address. The rows that use it are gone when its IP object is: what the state has of one
// object follows the other, and the engine applies both.
func (a *Addresses) virtual(ctx context.Context, req reconcile.Request) error {
	need := a.virtualOf(req.Name)
	var obj v1.IP
	err := a.client.Get(ctx, types.NamespacedName{Name: req.Name}, &obj)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get IP %s: %w", req.Name, err)
	}
	found := err == nil
	if found && (reserved(&obj) || !obj.DeletionTimestamp.IsZero()) { // made by hand, or on its way out
		return a.reserve(ctx, req, &obj)
	}
	if need.subnet == "" || found && obj.Spec.Subnet != need.subnet { // its end brings the request again
		a.served(req)
		a.forget(req)
		if found {
			a.ledger.note(&obj)
		}
		return a.ledger.release(ctx, req.Name)
	}
	if err := a.client.Get(ctx, client.ObjectKeyFromObject(need.about), need.about); err != nil {
		if err = client.IgnoreNotFound(err); err != nil {
			return fmt.Errorf("get %T %s: %w", need.about, need.about.GetName(), err)
		}
		return nil // what takes it away brings the request again
	}
	_, _, err = a.give(ctx, req, need.about, holder{ip: req.Name, name: req.Name}, []string{need.subnet}, need.want)
	return err
}

// virtualOf says who needs the address of that name, and where.
func (a *Addresses) virtualOf(name string) (need virtual) {
	vip, isVIP := state.ParseVIPName(name)
	subnet, _ := state.ParseHealthCheckName(name)
	a.store.Inspect(func(v *state.View) {
		if isVIP {
			need = virtualVIP(v, vip)
			return
		}
		for _, rule := range v.SwitchLBRules() {
			if slices.Contains(compile.CheckedSubnets(v, rule.Name), subnet) {
				need = virtual{subnet: subnet, about: &v1.Subnet{}}
				need.about.SetName(subnet)
				return
			}
		}
	})
	return need
}

func virtualVIP(v *state.View, vip netip.Addr) (need virtual) {
	for _, rule := range v.SwitchLBRulesAt(vip) {
		if subnet := compile.SubnetOf(v, rule.Vpc, vip); subnet != nil {
			need = virtual{
				subnet: subnet.Name, about: &v1.SwitchLBRule{},
				want: ipam.Request{Static: []netip.Addr{vip}, Families: []ipam.Family{ipam.FamilyOf(vip)}},
			}
			need.about.SetName(rule.Name)
			return need
		}
	}
	return need
}

// virtuals are the addresses that a rule needs, by the names of their IP objects, and the Subnets of these.
func virtuals(v *state.View, rule string) map[string]string {
	need := make(map[string]string)
	obj := v.SwitchLBRule(rule)
	if obj == nil {
		return nil
	}
	for _, vip := range obj.VIPs {
		if subnet := compile.SubnetOf(v, obj.Vpc, vip); subnet != nil {
			need[state.VIPName(vip)] = subnet.Name
		}
	}
	for _, subnet := range compile.CheckedSubnets(v, rule) {
		need[state.HealthCheckName(subnet)] = subnet
	}
	return need
}
