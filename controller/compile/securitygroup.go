package compile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// Priorities of security groups, Kube-OVN's numbers: those of rules lie above all others.
const (
	priorityDeny     = 2003
	priorityTogether = 2004
	priorityBase     = 2005
	priorityRules    = 18484 // less that of a rule
)

// ReasonNotFound is that of a Pod which names a group that does not exist.
const ReasonNotFound = "NotFound"

// securityTier is the tier of OVN for a tier of security groups.
func securityTier(tier int) int { return tierPolicy + tier }

// securityGroup wants an ACL for each rule. That all else is denied its Pods have asked for themselves (bind): they are denied
// before there is such a group, and after.
func securityGroup(v *state.View, name string, out *Output) {
	obj := v.SecurityGroup(name)
	if obj == nil {
		return
	}
	for _, text := range obj.Invalid {
		out.Problem(ReasonInvalid, "%s", text)
	}
	if obj.Tier > 0 && !v.Server().Tiers {
		out.Problem(ReasonNotSupported, "spec.tier: the group is not in force, and nothing reaches its Pods: it needs OVN 23.06 or later, where ACLs have tiers")
		return
	}
	pods := state.SecurityGroupPods(name)
	t := &securityTranslation{translation{view: v, pods: pods, acls: newACLs(v, state.KindSecurityGroup, name, out)}, obj}
	if obj.Together {
		for _, d := range []state.Direction{state.Ingress, state.Egress} {
			t.write(d, priorityTogether, db.ACLActionAllowRelated, t.podPeers(d, pods), anyPeer)
		}
	}
	for _, i := range t.order() {
		t.rule(i)
	}
}

type securityTranslation struct {
	translation
	obj *state.SecurityGroup
}

// order has rules that drop come first: of two that match the same with the same priority it is the one that counts.
func (t *securityTranslation) order() []int {
	order := make([]int, len(t.obj.Rules))
	for i := range order {
		order[i] = i
	}
	drops := func(i int) int {
		if t.obj.Rules[i].Action == state.Deny {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(drops(a), drops(b)) })
	return order
}

// write wants ACLs for one match beside the peers, which is traffic of IP since these are.
func (t *securityTranslation) write(d state.Direction, priority int, action string, peers []string, match string) {
	t.acls.add(verdict{
		tier: securityTier(t.obj.Tier), priority: priority, direction: d, subject: t.view.Group(t.pods, state.Ports),
		peers: peers, ports: []string{match}, action: action,
	})
}

func (t *securityTranslation) rule(i int) {
	r := &t.obj.Rules[i]
	action := clusterAction[r.Action]
	if r.Action == state.Pass && !t.view.Server().Tiers {
		t.acls.out.Problem(ReasonNotSupported, "spec: a rule with the policy pass drops: it needs OVN 23.06 or later, where ACLs have tiers")
		action = db.ACLActionDrop
	}
	t.write(r.Direction, priorityRules-r.Priority, action, t.remote(i, r), securityMatch(r))
}

// remote matches the other side.
func (t *securityTranslation) remote(i int, r *state.SecurityRule) []string {
	family := map[bool]string{false: "ip4", true: "ip6"}[r.IPv6]
	switch {
	case r.Group == "" && r.Remote.Bits() == 0:
		return []string{family}
	case r.Group == "":
		return t.blocks(&rule{Rule: &state.Rule{Direction: r.Direction, Blocks: []state.Block{{Prefix: r.Remote}}}, number: i})
	}
	if _, ok := t.view.SecurityGroupTier(r.Group); !ok {
		return nil // nobody, though there may be Pods that name it
	}
	both := t.podPeers(r.Direction, state.SecurityGroupPods(r.Group))
	if r.IPv6 {
		return both[1:]
	}
	return both[:1]
}

// locals are the field of the Pod's own address.
var locals = [state.Directions]string{state.Ingress: "dst", state.Egress: "src"}

// securityMatch is what a rule says beside the other side.
func securityMatch(r *state.SecurityRule) string {
	family, icmp := "ip4", "icmp4"
	if r.IPv6 {
		family, icmp = "ip6", "icmp6"
	}
	var terms []string
	if r.Local.IsValid() && r.Local.Bits() > 0 {
		terms = append(terms, family+"."+locals[r.Direction]+" == "+prefixText(r.Local))
	}
	switch dst, src := spanMatch(r.Protocol+".dst", r.Ports), spanMatch(r.Protocol+".src", r.SourcePorts); {
	case r.Protocol == "icmp":
		terms = append(terms, icmp)
	case dst+src == "" && r.Protocol != "":
		terms = append(terms, r.Protocol)
	default:
		terms = append(terms, dst, src)
	}
	return conjunction(terms...)
}

func spanMatch(field string, s state.PortSpan) string {
	switch {
	case s == state.PortSpan{}:
		return ""
	case s.First == s.Last:
		return fmt.Sprintf("%s == %d", field, s.First)
	}
	return fmt.Sprintf("%d <= %s <= %d", s.First, field, s.Last)
}

// vrrp is the word that keepalived keeps a shared address by.
const vrrp = "ip.proto == 112"

// deny drops what no rule of a tier lets through.
func (a *acls) deny(ports string, tier int) {
	v := verdict{tier: securityTier(tier), subject: ports, peers: []string{anyPeer}}
	if tier > 0 {
		v.again = fmt.Sprintf("tier %d ", v.tier)
	}
	for _, d := range []state.Direction{state.Ingress, state.Egress} {
		v.direction = d
		v.priority, v.action, v.ports = priorityBase, db.ACLActionAllowRelated, []string{"(" + dhcp[d] + " || " + vrrp + ")"}
		a.add(v)
		v.priority, v.action, v.ports = priorityDeny, db.ACLActionDrop, []string{anyTraffic}
		a.add(v)
	}
}

// bind has everything denied to a Pod that its security groups do not allow. In the last tier that is for good. In the first one it is
// only if a group decides there: one that does not exist does, so that no NetworkPolicy opens what it is missing for.
func bind(v *state.View, pod *state.Pod, out *Output) {
	var missing []string
	tiers := v.Server().Tiers
	for _, name := range pod.SecurityGroups() {
		tier, ok := v.SecurityGroupTier(name)
		if !ok {
			missing = append(missing, fmt.Sprintf("%q", name))
		}
		if !ok || tier == 0 || !tiers {
			v.Deny(state.SecurityGroupPods(name), 0)
		}
		if tiers {
			v.Deny(state.SecurityGroupPods(name), state.SecurityTiers-1)
		}
	}
	if len(missing) > 0 {
		out.Problem(ReasonNotFound, "there is no SecurityGroup %s: the Pod is denied all that its other ones do not allow", strings.Join(missing, ", "))
	}
}
