package compile

import (
	"net/netip"
	"slices"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// Priorities of a Subnet's ACLs, Kube-OVN's numbers. What isolates Pods (2000 and more) decides before private does.
const (
	priorityPrivate      = 1000
	priorityPrivateAllow = 1001
	priorityEastWest     = 1900
	priorityOwnNode      = 3000
)

// secure wants the ACLs on a Subnet's switch. They match by addresses, not by ports: one list of ports less that grows with the Pods.
func secure(v *state.View, obj *state.Subnet, out *Output) {
	s := &switchACLs{view: v, obj: obj, acls: newACLs(v, state.KindSubnet, obj.Name, out)}
	for _, text := range obj.Security.Invalid {
		out.Problem(ReasonInvalid, "%s", text)
	}
	for _, cidr := range obj.CIDRs {
		if obj.Security.Private {
			s.private(cidr)
		}
		if obj.Security.EastWest {
			s.eastWest(cidr)
		}
	}
	if obj.Security.Private || len(obj.Security.ACLs) > 0 {
		for _, d := range []state.Direction{state.Ingress, state.Egress} {
			s.acls.keepCut(verdict{direction: d, subject: obj.Name, onSwitch: true})
		}
	}
	first := make(map[state.SubnetACL]string)
	for i, acl := range obj.Security.ACLs {
		same := acl
		same.Action = ""
		if action, ok := first[same]; ok && action != acl.Action {
			out.Problem(ReasonInvalid, "spec.acls[%d]: one with the same direction, priority and match has the action %s; this one is not in force", i, action)
			continue
		}
		first[same] = acl.Action
		s.raw(i, &acl)
	}
}

type switchACLs struct {
	view *state.View
	obj  *state.Subnet
	acls *acls
}

// add decides about what passes the switch. "from-lport" is judged before the load balancer here, as authors of raw ACLs expect.
func (s *switchACLs) add(d state.Direction, priority int, action string, matches ...string) {
	s.acls.add(verdict{
		tier: tierPolicy, priority: priority, direction: d, subject: s.obj.Name, onSwitch: true, again: lport[d] + " ",
		peers: matches, ports: []string{anyPeer}, action: action,
	})
}

// private drops what comes to addresses of the Subnet; what Pods of the Subnet send elsewhere leaves the switch by its router's
// port, which is none of its addresses. The own node may do more than other nodes, so that no raw ACL keeps the kubelet from its Pods.
func (s *switchACLs) private(cidr netip.Prefix) {
	dst, ownNode := ipMatch(cidr.Addr(), "dst", cidr), fromOwnNode4
	if !cidr.Addr().Is4() {
		ownNode = fromOwnNode6
	}
	s.add(state.Ingress, priorityPrivate, db.ACLActionDrop, dst)
	s.add(state.Ingress, priorityPrivateAllow, s.spare(), dst+" && "+s.friends(cidr))
	s.add(state.Ingress, priorityPrivateAllow, db.ACLActionAllowRelated, dst+" && "+fromItself)
	s.add(state.Ingress, priorityOwnNode, db.ACLActionAllowRelated, dst+" && "+ownNode)
}

// friends matches who reaches Pods of a private Subnet: the Subnet itself, the nodes, and whom it lets in.
func (s *switchACLs) friends(cidr netip.Prefix) string {
	all := append([]netip.Prefix{cidr}, s.obj.Security.AllowFrom...)
	if join := s.view.Subnet(s.view.Config().JoinSubnet); join != nil {
		all = append(all, join.CIDRs...)
	}
	same := slices.DeleteFunc(all, func(p netip.Prefix) bool { return p.Addr().Is4() != cidr.Addr().Is4() })
	t := &translation{view: s.view, acls: s.acls}
	return t.addresses(&rule{Rule: &state.Rule{Direction: state.Ingress}}, family(cidr.Addr()), merge(same))
}

func (s *switchACLs) eastWest(cidr netip.Prefix) {
	match := ipMatch(cidr.Addr(), "src", cidr) + " && " + ipMatch(cidr.Addr(), "dst", cidr)
	s.add(state.Ingress, priorityEastWest, s.spare(), match)
	s.add(state.Egress, priorityEastWest, s.spare(), match)
}

// spare keeps the Subnet's weaker ACLs away from a packet. What comes behind the Subnet decides about it still: security groups of tier 1,
// and the administrator's baseline.
func (s *switchACLs) spare() string {
	if s.view.Server().Tiers {
		return db.ACLActionPass
	}
	return db.ACLActionAllowRelated
}

func (s *switchACLs) raw(i int, acl *state.SubnetACL) {
	action := acl.Action
	if action == db.ACLActionPass && !s.view.Server().Tiers {
		s.acls.out.Problem(ReasonNotSupported, "spec.acls[%d]: pass needs OVN 23.06 or later, where ACLs have tiers; it drops", i)
		action = db.ACLActionDrop
	}
	s.add(acl.Direction, acl.Priority, action, acl.Match)
}
