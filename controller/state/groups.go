package state

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/heddle-net/heddle/ovs/nb"
)

// A group is the Pods that a selector chooses. It is an owner of its own, which all who ask for the same Pods share, and it is
// there for as long as some owner's last compilation has asked for it: asking is a recorded read. Its sets are kept up to date
// here, Pod by Pod; that is the one place that knows what has changed and not only what is.

// SetKind says what a set has of each Pod of its group.
type SetKind uint8

// Kinds of sets. Peers are address sets, which cost ovn-northd next to nothing; port groups are for those whom rules are
// enforced on.
const (
	Ports SetKind = iota // Port_Group: the Pods' ports
	IPv4                 // Address_Set: their IPv4 addresses
	IPv6                 // Address_Set: their IPv6 addresses
	setKinds
	// Of no set, but asked for in the same way: that the Pods are isolated in a Direction, wholly or laxly, and that something else
	// may drop what comes to them or from them.
	isolated = setKinds
	lax      = isolated + SetKind(Directions)
	guarded  = lax + SetKind(Directions)
	denied   = guarded + 1 // in a tier of security groups
	asks     = denied + SecurityTiers
)

// setPrefixes begin the names of the sets. OVN derives names of its own from that of a port group, <name>_ip4 and _ip6.
var setPrefixes = [setKinds]string{"pg_", "as4_", "as6_"}

// SetName is what OVN takes for the name of a port group or address set: letters, digits, _ and . (ovn-nb(5)).
func SetName(kind SetKind, key string) string {
	sum := sha256.Sum256([]byte(key))
	return setPrefixes[kind] + hex.EncodeToString(sum[:10])
}

// GroupSet is a set of a group that somebody asks for.
type GroupSet struct {
	Kind    SetKind
	Name    string
	Members *nb.Set // addresses, or references to ports
}

type group struct {
	canonical
	key   string
	asked [asks]bool
	live  bool // sets are up to date, and in the index
	sets  [setKinds]*nb.Set
	// shared counts, for members that several Pods have (the same address in two VPCs), how many more than one.
	shared [setKinds]map[string]int
	seen   uint64 // the last move that has looked at it
}

func (g *group) owner() nb.Owner { return nb.Owner{Kind: KindGroup, Key: g.key} }

// groups are all groups that somebody asks for.
type groups struct {
	byKey map[string]*group
	index groupIndex // of those that are live
	stale []*group   // that are not
	moves uint64
	// joining lists, for each Pod that must be compiled, the groups that change with it.
	joining map[nb.Owner][]nb.Owner
}

func newGroups() *groups {
	return &groups{byKey: make(map[string]*group), index: make(groupIndex), joining: make(map[nb.Owner][]nb.Owner)}
}

// ask notes that a set, or isolation, has its first reader.
func (x *groups) ask(key string, kind SetKind, selector canonical) nb.Owner {
	g := x.byKey[key]
	if g == nil {
		g = &group{canonical: selector, key: key}
		x.byKey[key] = g
	}
	g.asked[kind] = true
	if kind < setKinds {
		x.retire(g)
		x.stale = append(x.stale, g)
	}
	return g.owner()
}

// release notes that it has lost its last reader.
func (x *groups) release(key string, kind SetKind) nb.Owner {
	g := x.byKey[key]
	g.asked[kind] = false
	if kind < setKinds {
		g.sets[kind], g.shared[kind] = nil, nil
	}
	if g.asked == [asks]bool{} {
		delete(x.byKey, key)
		x.retire(g)
	}
	return g.owner()
}

// retire lets a group fall behind, until it is filled anew.
func (x *groups) retire(g *group) {
	if g.live {
		x.index.remove(g)
		g.live = false
	}
}

// move changes the groups that a Pod leaves, joins, or stays in with another address, and returns them.
func (x *groups) move(from, to place) (touched []nb.Owner) {
	old, now := from.members(), to.members()
	if len(x.index) == 0 || old == now && (from.sameTo(to) || now == [setKinds]string{}) {
		return nil
	}
	var left, joined []*group
	if old != [setKinds]string{} {
		left = x.index.of(from.pod, from.namespace)
	}
	if now != [setKinds]string{} {
		joined = x.index.of(to.pod, to.namespace)
	}
	x.moves += 2
	for _, g := range joined {
		g.seen = x.moves
	}
	change := func(g *group, old, now [setKinds]string) {
		if g.change(old, now) {
			touched = append(touched, g.owner())
		}
	}
	for _, g := range left {
		if g.seen != x.moves {
			change(g, old, [setKinds]string{})
			continue
		}
		g.seen-- // in both
		change(g, old, now)
	}
	for _, g := range joined {
		if g.seen == x.moves {
			change(g, [setKinds]string{}, now)
		}
	}
	return touched
}

// change replaces what one Pod brings into the sets that are asked for, and reports whether that makes a difference.
func (g *group) change(old, now [setKinds]string) (changed bool) {
	for kind := range setKinds {
		if !g.asked[kind] || old[kind] == now[kind] {
			continue
		}
		before := g.sets[kind]
		g.drop(kind, old[kind])
		g.add(kind, now[kind])
		changed = changed || g.sets[kind] != before
	}
	return changed
}

func (g *group) add(kind SetKind, member string) {
	switch {
	case member == "":
	case !g.sets[kind].Has(member):
		g.sets[kind] = g.sets[kind].With(member)
	default:
		if g.shared[kind] == nil {
			g.shared[kind] = make(map[string]int)
		}
		g.shared[kind][member]++
	}
}

func (g *group) drop(kind SetKind, member string) {
	switch n := g.shared[kind][member]; {
	case member == "":
	case n == 0:
		g.sets[kind] = g.sets[kind].Without(member)
	case n == 1:
		delete(g.shared[kind], member)
	default:
		g.shared[kind][member]--
	}
}

// fill brings all groups up to date that are not, in one pass over the Pods that they may choose.
func (s *Store) fill() {
	x := s.groups
	index, within, everywhere := make(groupIndex), make(map[string]bool), false
	collected := make(map[*group]*[setKinds][]string)
	for _, g := range x.stale {
		if x.byKey[g.key] == g && collected[g] == nil {
			collected[g] = new([setKinds][]string)
			index.add(g)
			within[g.namespace] = true
			everywhere = everywhere || g.namespace == ""
		}
	}
	collect := func(pod *Pod) {
		p := s.place(pod)
		members := p.members()
		for _, g := range index.of(p.pod, p.namespace) {
			for kind, member := range members {
				if g.asked[kind] && member != "" {
					collected[g][kind] = append(collected[g][kind], member)
				}
			}
		}
	}
	if everywhere {
		for _, pod := range s.Pods.rows {
			collect(pod)
		}
	} else {
		for namespace := range within {
			for key := range s.Pods.indexes[0].keys[namespace].all() {
				collect(s.Pods.rows[key])
			}
		}
	}
	x.stale = nil
	for g, sets := range collected {
		g.begin(sets)
		x.index.add(g)
	}
}

// begin sets what the group has.
func (g *group) begin(sets *[setKinds][]string) {
	g.live = true
	for kind, members := range sets {
		g.sets[kind], g.shared[kind] = nil, nil
		if !g.asked[kind] {
			continue
		}
		g.sets[kind] = nb.SetOf(slices.Clone(members)...)
		if g.sets[kind].Len() == len(members) {
			continue
		}
		once := make(map[string]bool, len(members))
		for _, member := range members {
			if once[member] {
				g.add(SetKind(kind), member)
			}
			once[member] = true
		}
	}
}

// Group returns the name of the port group or address set of the Pods that a selector chooses, which is there from the
// transaction on in which the owner that asks commits.
func (v *View) Group(selector Selector, kind SetKind) string {
	form := selector.canonical()
	key := form.String()
	v.record(read{groupSets, uint8(kind), key})
	if v.selected == nil {
		v.selected = make(map[string]canonical)
	}
	v.selected[key] = form
	return SetName(kind, key)
}

// Sets lists the sets of a group that somebody asks for: what the owner group/<key> is compiled from.
func (v *View) Sets(key string) (sets []GroupSet) {
	g := v.store.groups.byKey[key]
	if g == nil {
		return nil
	}
	if !g.live {
		v.store.fill()
	}
	for kind := range setKinds {
		if g.asked[kind] {
			sets = append(sets, GroupSet{kind, SetName(kind, key), g.sets[kind]})
		}
	}
	return sets
}

// Isolate lets nothing through to (or from) the Pods that a selector chooses but what others allow, and returns the name of
// their port group. Laxly, that goes for TCP, UDP and SCTP alone. It holds for as long as some owner's last compilation has asked, and
// is there once however many ask.
func (v *View) Isolate(selector Selector, direction Direction, laxly bool) string {
	name, kind := v.Guard(selector), isolated
	if laxly {
		kind = lax
	}
	v.record(read{groupSets, uint8(kind) + uint8(direction), selector.canonical().String()})
	return name
}

// Guard keeps what no rule may drop for the Pods that a selector chooses, and returns the name of their port group. Who drops anything
// asks for it.
func (v *View) Guard(selector Selector) string {
	name := v.Group(selector, Ports)
	v.record(read{groupSets, uint8(guarded), selector.canonical().String()})
	return name
}

// Guarded tells whether somebody has asked for that.
func (v *View) Guarded(key string) bool {
	g := v.store.groups.byKey[key]
	return g != nil && g.asked[guarded]
}

// Isolated tells whether the Pods of a group are isolated in a direction. Not laxly wins.
func (v *View) Isolated(key string, d Direction) (is, laxly bool) {
	g := v.store.groups.byKey[key]
	if g == nil {
		return false, false
	}
	wholly := g.asked[isolated+SetKind(d)]
	return wholly || g.asked[lax+SetKind(d)], !wholly
}
