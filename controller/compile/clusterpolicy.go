package compile

import (
	"net/netip"
	"slices"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// A policy has as many priorities of OVN in each direction as there are for one of 1,002 (0 to 32767). Rules one after the other that
// do the same need one only.
const (
	priorityHighest = 32767
	levels          = 32
	lastLevel       = levels - 1 // where rules deny that there are no priorities left for
)

var clusterTier = map[bool]int{false: tierAdmin, true: tierBaseline}

var clusterAction = map[state.Action]string{
	state.Allow: db.ACLActionAllowRelated, state.Deny: db.ACLActionDrop, state.Pass: db.ACLActionPass,
}

// clusterPolicy wants ACLs for each rule of a policy of the cluster's administrator.
func clusterPolicy(kind string) func(v *state.View, name string, out *Output) {
	return func(v *state.View, name string, out *Output) {
		obj := v.ClusterPolicy(kind, name)
		if obj == nil {
			return
		}
		for _, text := range obj.Invalid {
			out.Problem(ReasonInvalid, "%s", text)
		}
		if !v.Server().Tiers {
			out.Problem(ReasonNotSupported, "the policy is not in force: it needs OVN 23.06 or later, where ACLs have tiers")
			return
		}
		t := &translation{view: v, pods: obj.Pods, acls: newACLs(v, kind, name, out)}
		if len(obj.Rules) > 0 {
			v.Guard(obj.Pods)
		}
		for _, d := range []state.Direction{state.Ingress, state.Egress} {
			t.ordered(obj, d)
		}
	}
}

// ordered translates the rules of a direction, each action that differs from the one before on a level of its own.
func (t *translation) ordered(obj *state.ClusterPolicy, d state.Direction) {
	level, last := -1, state.Action(0)
	for i := range obj.Rules {
		r := &obj.Rules[i]
		if r.Direction != d {
			continue
		}
		if (level < 0 || r.Action != last) && level < lastLevel {
			if level++; level == lastLevel {
				t.acls.out.Problem(ReasonInvalid, "spec.%s: rules change between allowing, denying and passing more than %d times; those after that deny", d, lastLevel-1)
			}
		}
		last = r.Action
		action := clusterAction[r.Action]
		if level == lastLevel {
			action = db.ACLActionDrop
		}
		t.add(&rule{
			Rule: &r.Rule, number: i, addresses: t.others(r), domains: r.Domains,
			verdict: verdict{tier: clusterTier[obj.Baseline], priority: priorityHighest - levels*obj.Priority - level, action: action},
		})
	}
}

// others are the addresses of what a rule names otherwise.
func (t *translation) others(r *state.ClusterRule) (list []netip.Prefix) {
	if len(r.Nodes) == 0 {
		return nil
	}
	for _, n := range t.view.Nodes() {
		if !slices.ContainsFunc(r.Nodes, func(s state.NodeSelector) bool { return s.Matches(n) }) {
			continue
		}
		for _, addr := range n.Addresses() {
			list = append(list, netip.PrefixFrom(addr, addr.BitLen()))
		}
	}
	return list
}
