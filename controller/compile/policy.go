package compile

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// networkPolicy wants an ACL for each thing that a NetworkPolicy allows. That its Pods are isolated it asks of their group, which
// all policies for the same Pods share (group.go): policies add up.
func networkPolicy(v *state.View, key string, out *Output) {
	obj := v.NetworkPolicy(key)
	if obj == nil {
		return
	}
	for _, text := range obj.Invalid {
		out.Problem(ReasonInvalid, "%s", text)
	}
	t := &translation{view: v, pods: obj.Pods, acls: newACLs(v, state.KindPolicy, key, out)}
	allow, drop := t.logging(obj.Log)
	for direction, isolates := range obj.Isolates {
		if !isolates {
			continue
		}
		ports := v.Isolate(obj.Pods, state.Direction(direction), obj.Lax)
		if drop != nil {
			t.acls.isolate(verdict{priority: priorityLogged, direction: state.Direction(direction), subject: ports, log: drop}, obj.Lax)
		}
	}
	for i := range obj.Rules {
		t.add(&rule{Rule: &obj.Rules[i], number: i, verdict: verdict{tier: tierPolicy, priority: priorityAllow, action: db.ACLActionAllowRelated, log: allow}})
	}
}

// logNameLimit is OVN's for the name of an ACL.
const logNameLimit = 63

// logging is how a policy's ACLs that allow, and those that drop, are logged; nil is not at all. What all policies for the same Pods
// drop together, the group drops (group.go): a policy that wants it logged drops it itself, before the group does. The meter's limit is
// for each ACL alone.
func (t *translation) logging(log state.Log) (allow, drop *logging) {
	if !log.Allowed && !log.Dropped {
		return nil, nil
	}
	l := &logging{name: t.acls.who.Key[:min(len(t.acls.who.Key), logNameLimit)]}
	if log.Rate > 0 {
		meter := t.acls.who.String()
		band := nb.Row{ID: meter, Model: &db.MeterBand{Action: db.MeterBandActionDrop, Rate: log.Rate}}
		fair := true
		t.acls.out.Row(band)
		t.acls.out.Row(nb.Row{ID: meter, Model: &db.Meter{Name: meter, Unit: db.MeterUnitPktps, Bands: []string{band.Ref().String()}, Fair: &fair}})
		l.meter = &meter
	}
	if log.Allowed {
		allow = l
	}
	if log.Dropped {
		drop = l
	}
	return allow, drop
}

// translation is of the rules of one policy into ACLs.
type translation struct {
	view *state.View
	pods state.Selector
	acls *acls
}

// rule is one of them.
type rule struct {
	*state.Rule
	number int
	// addresses are ones of the other side that the rule does not name itself.
	addresses []netip.Prefix
	// domains are names in DNS that the other side may have.
	domains []string
	verdict verdict // without subject, peers and ports
}

// add decides about a rule's peers on its ports. The name of a port is a rule of its own for each number that Pods give to it.
func (t *translation) add(r *rule) {
	if ports := portMatches(r.Rule); len(ports) > 0 {
		t.decide(r, t.pods, t.peers(r, nil), ports)
		t.allowDomains(r, ports)
	}
	for _, p := range r.Ports {
		if p.Name != "" {
			t.named(r, p)
		}
	}
}

func (t *translation) decide(r *rule, subject state.Selector, peers, ports []string) {
	if len(peers) == 0 {
		return
	}
	v := r.verdict
	v.direction, v.subject, v.peers, v.ports = r.Direction, t.view.Group(subject, state.Ports), peers, ports
	t.acls.add(v)
}

// named decides about a named port: of the policy's Pods for what comes in, of the peers for what goes out. Addresses that are no Pod's
// have no names of ports.
func (t *translation) named(r *rule, p state.PortRange) {
	ns := t.pods.Namespace
	if r.Direction == state.Egress {
		ns = ""
	}
	for _, number := range t.view.PortNumbers(ns, p.Protocol, p.Name) {
		has := state.Requirement{Key: state.PortLabel(p.Protocol, p.Name), Values: []string{fmt.Sprint(number)}}
		port := []string{fmt.Sprintf("%s.dst == %d", p.Protocol, number)}
		if r.Direction == state.Ingress {
			t.decide(r, narrowed(t.pods, has), t.peers(r, nil), port)
		} else {
			t.decide(r, t.pods, t.peers(r, &has), port)
		}
	}
}

func narrowed(s state.Selector, by state.Requirement) state.Selector {
	s.Pods = append(slices.Clone(s.Pods), by)
	return s
}

// peers are the matches of a rule's other side, of those Pods alone that satisfy a requirement if there is one.
func (t *translation) peers(r *rule, only *state.Requirement) (matches []string) {
	switch {
	case only != nil && r.Anybody:
		return t.podPeers(r.Direction, narrowed(state.Selector{}, *only))
	case r.Anybody:
		return []string{anyPeer}
	}
	for _, selector := range r.Peers {
		if only != nil {
			selector = narrowed(selector, *only)
		}
		matches = append(matches, t.podPeers(r.Direction, selector)...)
	}
	if only == nil {
		matches = append(matches, t.blocks(r)...)
	}
	return matches
}

// podPeers matches the Pods of a group by their addresses.
func (t *translation) podPeers(d state.Direction, selector state.Selector) []string {
	return []string{
		inSet(d, "ip4", t.view.Group(selector, state.IPv4)),
		inSet(d, "ip6", t.view.Group(selector, state.IPv6)),
	}
}

// inline is the number of prefixes that a match has as they are; more are an address set of the policy's.
const inline = 8

// blocks matches the addresses that a rule names. Nothing compares with "not equal": an exception is taken out of its range here.
func (t *translation) blocks(r *rule) (matches []string) {
	prefixes := slices.Clone(r.addresses)
	for _, b := range r.Blocks {
		prefixes = append(prefixes, without(b.Prefix, b.Except)...)
	}
	if r.Direction == state.Ingress && len(r.Blocks) > 0 {
		prefixes = t.withNodes(r.Rule, prefixes)
	}
	for _, family := range []string{"ip4", "ip6"} {
		list := merge(slices.DeleteFunc(slices.Clone(prefixes), func(p netip.Prefix) bool { return p.Addr().Is4() != (family == "ip4") }))
		if len(list) > 0 {
			matches = append(matches, t.addresses(r, family, list))
		}
	}
	return matches
}

// withNodes takes nodes for where their InternalIP is. What a node's own processes send to Pods comes from its address on the
// join Subnet, which nobody who writes a policy needs to know: it is among the addresses, or among the exceptions, as the
// InternalIP is.
func (t *translation) withNodes(r *state.Rule, left []netip.Prefix) []netip.Prefix {
	var in, out []netip.Prefix
	for own, join := range t.nodes() {
		switch host := netip.PrefixFrom(join, join.BitLen()); {
		case slices.ContainsFunc(left, func(p netip.Prefix) bool { return p.Contains(own) }):
			in = append(in, host)
		case slices.ContainsFunc(r.Blocks, func(b state.Block) bool { return b.Prefix.Contains(own) }):
			out = append(out, host)
		}
	}
	for _, hole := range out {
		if !slices.Contains(in, hole) {
			left = subtract(left, hole)
		}
	}
	return append(left, in...)
}

// nodes yields the InternalIPs of all nodes with their addresses on the join Subnet, of the same family.
func (t *translation) nodes() iter.Seq2[netip.Addr, netip.Addr] {
	return func(yield func(own, join netip.Addr) bool) {
		for _, node := range t.view.Nodes() {
			ip := t.view.IP(node.Port())
			for _, own := range node.InternalIPs {
				for i := 0; ip != nil && i < len(ip.IPs); i++ {
					if join := ip.IPs[i]; join.Is4() == own.Is4() && !yield(own, join) {
						return
					}
				}
			}
		}
	}
}

// addresses matches prefixes of a family.
func (t *translation) addresses(r *rule, family string, list []netip.Prefix) string {
	if list[0].Bits() == 0 {
		return family
	}
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = prefixText(p)
	}
	field := family + "." + sides[r.Direction]
	switch {
	case len(list) == 1:
		return field + " == " + texts[0]
	case len(list) <= inline:
		return field + " == {" + strings.Join(texts, ", ") + "}"
	}
	kind := map[bool]state.SetKind{true: state.IPv4, false: state.IPv6}[family == "ip4"]
	set := state.SetName(kind, fmt.Sprintf("%s %d", t.acls.who, r.number))
	if !t.acls.seen[set] { // a rule asks once for its numbers, and once for each name of a port
		t.acls.seen[set] = true
		t.acls.out.Row(nb.Row{ID: set, Model: &db.AddressSet{Name: set, Addresses: texts}})
	}
	return inSet(r.Direction, family, set)
}

// prefixText prints a single address without its length, as OVN does.
func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// portMatches has one match for each protocol of a rule's ports that have no name.
func portMatches(r *state.Rule) (matches []string) {
	if r.AnyPort {
		return []string{anyTraffic}
	}
	for _, protocol := range []string{"tcp", "udp", "sctp"} {
		var numbers, terms []string
		all := false
		for _, p := range r.Ports {
			switch {
			case p.Protocol != protocol || p.Name != "":
			case p.First == 0:
				all = true
			case p.First == p.Last:
				numbers = append(numbers, fmt.Sprint(p.First))
			default:
				terms = append(terms, fmt.Sprintf("%d <= %s.dst <= %d", p.First, protocol, p.Last))
			}
		}
		if len(numbers) > 0 {
			terms = append(terms, protocol+".dst == "+oneOf(numbers))
		}
		switch {
		case all:
			matches = append(matches, protocol)
		case len(terms) == 1:
			matches = append(matches, terms[0])
		case len(terms) > 1:
			matches = append(matches, "("+strings.Join(terms, " || ")+")")
		}
	}
	return matches
}

func oneOf(texts []string) string {
	if len(texts) == 1 {
		return texts[0]
	}
	return "{" + strings.Join(texts, ", ") + "}"
}
