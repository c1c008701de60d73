package host

import (
	"slices"
	"strings"
)

// editTable changes one nftables table in one transaction of the kernel.
type editTable struct {
	Family    string
	Drop      bool   // remove the table that is there
	Create    *Table // make the table, with all that is in it
	NewSets   []Set  // with their elements in Add
	NewChains []Chain
	Rules     []Chain   // replace the rules of these chains
	Del       []element // then elements, removed before others are added
	Add       []element
	DelChains []string // then what nothing refers to any more
	DelSets   []string
}

// element is one element of a set or a map.
type element struct{ Set, Text string }

func (l *lane) dropTables() {
	for _, f := range l.want.NoTables {
		if _, ok := l.have.Tables[f]; ok {
			l.add(editTable{Family: f, Drop: true})
		}
	}
}

func (l *lane) tables() {
	for _, want := range l.want.Tables {
		have, ok := l.have.Tables[want.Family]
		if !ok || clash(want, have) {
			l.add(editTable{Family: want.Family, Drop: ok, Create: &want})
			continue
		}
		edit := editTable{Family: want.Family}
		edit.chains(want, have)
		edit.sets(want, have)
		if edit.any() {
			l.add(edit)
		}
		l.cutFlows(want)
	}
}

// any reports that something differs.
func (o *editTable) any() bool {
	return len(o.NewSets)+len(o.NewChains)+len(o.Rules)+len(o.Del)+len(o.Add)+len(o.DelChains)+len(o.DelSets) > 0
}

func (o *editTable) chains(want, have Table) {
	for _, c := range want.Chains {
		switch i := chainIn(have, c.Name); {
		case i < 0:
			o.NewChains = append(o.NewChains, c)
		case !slices.EqualFunc(c.Rules, have.Chains[i].Rules, sameRule):
			o.Rules = append(o.Rules, c)
		}
	}
	for _, c := range have.Chains {
		if chainIn(want, c.Name) < 0 {
			o.DelChains = append(o.DelChains, c.Name)
		}
	}
}

func (o *editTable) sets(want, have Table) {
	for _, s := range want.Sets {
		var old []string
		if i := setIn(have, s.Name); i >= 0 {
			old = have.Sets[i].Elements
		} else {
			o.NewSets = append(o.NewSets, s)
		}
		if s.Dynamic {
			if len(old) > 0 {
				o.Del = append(o.Del, targetsOf(want).wrong(s.Name, old)...)
			}
			continue
		}
		o.Del = append(o.Del, without(s.Name, old, s.Elements)...)
		o.Add = append(o.Add, without(s.Name, s.Elements, old)...)
	}
	for _, s := range have.Sets {
		if setIn(want, s.Name) < 0 {
			o.DelSets = append(o.DelSets, s.Name)
		}
	}
}

func chainIn(t Table, name string) int {
	i, found := slices.BinarySearchFunc(t.Chains, name, func(c Chain, name string) int { return strings.Compare(c.Name, name) })
	if !found {
		return -1
	}
	return i
}

func setIn(t Table, name string) int {
	i, found := slices.BinarySearchFunc(t.Sets, name, func(s Set, name string) int { return strings.Compare(s.Name, name) })
	if !found {
		return -1
	}
	return i
}

// clash reports that a set or chain is there under a name that means another kind of it: the kernel changes no kinds. The
// kernel removes a chain with its device, and the rule names the device too.
func clash(a, b Table) bool {
	for _, x := range a.Sets {
		i := setIn(b, x.Name)
		if i < 0 {
			continue
		}
		y := b.Sets[i]
		same := x.Data == y.Data && x.Interval == y.Interval && x.Dynamic == y.Dynamic
		if !same || x.Data != dataVerdict && x.Type != y.Type {
			return true
		}
	}
	for _, x := range a.Chains {
		i := chainIn(b, x.Name)
		if i >= 0 && (x.Type != b.Chains[i].Type || x.Hook != b.Chains[i].Hook || x.Priority != b.Chains[i].Priority) {
			return true
		}
	}
	return false
}

func sameRule(a, b Rule) bool { return a.Comment == b.Comment }

// without lists the elements of a that b lacks; both are sorted.
func without(set string, a, b []string) []element {
	var out []element
	for _, text := range a {
		if _, found := slices.BinarySearch(b, text); !found {
			out = append(out, element{set, text})
		}
	}
	return out
}
