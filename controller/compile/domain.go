package compile

import (
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// domain wants the addresses of a name in DNS as sets, which the rules of policies refer to: an address more or less is no matter of
// any policy. An object that somebody made under another key stands for nothing.
func domain(v *state.View, key string, out *Output) {
	obj := v.Domain(key)
	if obj == nil || key != state.DomainKey(obj.Name) {
		return
	}
	var members [2][]string
	kinds := []state.SetKind{state.IPv4, state.IPv6}
	for _, a := range obj.Addresses {
		i := 0
		if !a.Is4() {
			i = 1
		}
		members[i] = append(members[i], a.String())
	}
	for i, kind := range kinds {
		set := state.DomainSet(kind, obj.Name)
		out.Row(nb.Row{ID: set, Model: &db.AddressSet{Name: set}, Members: nb.SetOf(members[i]...), Fence: true})
	}
}

// allowDomains lets traffic to the names through that a rule allows; they have no addresses before somebody has asked for them.
// Connections go on when an address does not hold any more (ovn-nb(5), ACL options:persist-established): that is when its time to live is
// over, and no connection ends with it. When the ACL goes, so do they.
func (t *translation) allowDomains(r *rule, ports []string) {
	if r.verdict.action != db.ACLActionAllowRelated {
		return
	}
	var matches []string
	for _, name := range r.domains {
		name = state.DomainName(name)
		matches = append(matches,
			inSet(r.Direction, "ip4", state.DomainSet(state.IPv4, name)), inSet(r.Direction, "ip6", state.DomainSet(state.IPv6, name)))
	}
	allow := *r
	allow.verdict.lasts = true
	t.decide(&allow, t.pods, matches, ports)
}
