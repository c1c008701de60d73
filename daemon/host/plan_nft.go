package host

import "slices"

// editTable changes one nftables table in one transaction of the kernel.
type editTable struct {
	Family string
	Drop   bool      // remove the table that is there
	Create *Table    // make the table, with all that is in it
	Rules  []Chain   // replace the rules of these chains
	Del    []element // then elements, removed before others are added
	Add    []element
}

// element is one element of a set.
type element struct{ Set, Key string }

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
		if !ok || !sameFrame(want, have) {
			l.add(editTable{Family: want.Family, Drop: ok, Create: &want})
			continue
		}
		edit := editTable{Family: want.Family}
		for i, c := range want.Chains {
			if !slices.EqualFunc(c.Rules, have.Chains[i].Rules, sameRule) {
				edit.Rules = append(edit.Rules, c)
			}
		}
		for i, s := range want.Sets {
			edit.Del = append(edit.Del, without(s.Name, have.Sets[i].Elements, s.Elements)...)
			edit.Add = append(edit.Add, without(s.Name, s.Elements, have.Sets[i].Elements)...)
		}
		if len(edit.Rules)+len(edit.Del)+len(edit.Add) > 0 {
			l.add(edit)
		}
	}
}

// sameFrame reports that both have the same sets and chains, whatever is in them. Both are sorted by name. The kernel removes
// a chain with its device, and the rule names the device too.
func sameFrame(a, b Table) bool {
	return slices.EqualFunc(a.Sets, b.Sets, func(x, y Set) bool {
		return x.Name == y.Name && x.Type == y.Type && x.Interval == y.Interval
	}) && slices.EqualFunc(a.Chains, b.Chains, func(x, y Chain) bool {
		return x.Name == y.Name && x.Type == y.Type && x.Hook == y.Hook && x.Priority == y.Priority
	})
}

func sameRule(a, b Rule) bool { return a.Comment == b.Comment }

// without lists the elements of a that b lacks; both are sorted.
func without(set string, a, b []string) []element {
	var out []element
	for _, key := range a {
		if _, found := slices.BinarySearch(b, key); !found {
			out = append(out, element{set, key})
		}
	}
	return out
}
