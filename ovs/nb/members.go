package nb

import (
	"iter"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// A row with Members is compared with the version of the set that the row was last made equal to, as long as nobody else has
// touched the row: that costs what has changed, not what there is. Whoever wants to be sure (a fresh connection, an audit, the
// repair of what somebody else has done) has nothing to go by but the row itself, and compares all of it.

// members yields what the table's large column should hold.
func (r Row) members(t *Table) iter.Seq[string] {
	if r.Members != nil {
		return r.Members.All()
	}
	return slices.Values(rowOf(t, r.Model).set(t.members))
}

// matchMembers finds how the wanted set differs from what the row is known to hold.
func (p *planner) matchMembers(it *item) {
	if it.row.Members == nil {
		return
	}
	var from *Set
	if it.found != nil && !it.job.grow {
		it.known = p.have.Known(*it.found)
	}
	if it.known != nil && (!it.marked() || !includes(it.known.ids(it.table), rowOf(it.table, it.row.Model).externalIDs())) {
		it.known = nil
	}
	if it.known != nil {
		from = it.known.row.Members
	}
	it.drop, it.add = Diff(from, it.row.Members)
}

func (k *Known) ids(t *Table) map[string]string { return rowOf(t, k.row.Model).externalIDs() }

// haveRow is the row in the database. Of one that is known the set need not be read.
func (p *planner) haveRow(it *item) row {
	if it.known != nil {
		return rowOf(it.table, it.known.row.Model)
	}
	return rowOf(it.table, p.have.Row(*it.found))
}

// mutateMembers changes a large set by its difference.
func (p *planner) mutateMembers(it *item, c Column, have []string) []ovsdb.Mutation {
	var drop, add []string
	if it.known != nil {
		drop, add = p.delta(it, c)
	} else {
		want, missing := p.members(it, c)
		drop, add = difference(have, want)
		p.learn(it, missing)
	}
	var mutations []ovsdb.Mutation
	if len(drop) > 0 && !it.job.grow {
		mutations = append(mutations, *ovsdb.NewMutation(c.Name, ovsdb.MutateOperationDelete, encodeSet(drop, c.Refs)))
	}
	if len(add) > 0 {
		mutations = append(mutations, *ovsdb.NewMutation(c.Name, ovsdb.MutateOperationInsert, encodeSet(add, c.Refs)))
	}
	return mutations
}

// members is the whole set as the database should have it: references as UUIDs, without those to what does not exist.
func (p *planner) members(it *item, c Column) (members []string, missing *Set) {
	for text := range it.row.members(it.table) {
		if !c.Refs {
			members = append(members, text)
		} else if uuid, ok := p.member(it, text); ok {
			members = append(members, uuid)
		} else {
			missing = missing.With(text)
		}
	}
	return members, missing
}

// member turns a reference into a UUID, or notes that it does not exist.
func (p *planner) member(it *item, text string) (uuid string, ok bool) {
	ref, _ := ParseRef(text)
	if uuid, ok = p.resolve(ref); !ok {
		p.out.Missing = append(p.out.Missing, Missing{it.job.owner, ref})
	}
	return uuid, ok
}

// delta is the change of a set that is known. Members that were left out are tried again where this batch may have them.
func (p *planner) delta(it *item, c Column) (drop, add []string) {
	if !c.Refs {
		p.learn(it, nil)
		return it.drop, it.add
	}
	missing := it.known.missing
	for _, text := range it.drop {
		ref, _ := ParseRef(text)
		if missing.Has(text) {
			missing = missing.Without(text)
		} else if found, ok := p.have.Find(ref); ok { // else OVSDB has dropped it with the row that it refers to
			drop = append(drop, found.UUID)
		}
	}
	tried := slices.Concat(it.add, p.retry(missing))
	for _, f := range p.leavers() { // ovsdb-server 3.1 keeps a weak reference when its set is mutated as the row goes
		if text := f.Ref().String(); it.row.Members.Has(text) && !missing.Has(text) && !slices.Contains(it.add, text) {
			missing = missing.With(text)
			drop = append(drop, f.UUID)
			p.out.Missing = append(p.out.Missing, Missing{it.job.owner, f.Ref()})
		}
	}
	for _, text := range tried {
		missing = missing.Without(text)
		if uuid, ok := p.member(it, text); ok {
			add = append(add, uuid)
		} else {
			missing = missing.With(text)
		}
	}
	p.learn(it, missing)
	return drop, add
}

// leavers are the rows that this batch removes.
func (p *planner) leavers() (rows []Found) {
	for _, j := range p.jobs {
		for _, f := range j.gone {
			if j.blocked == nil && !p.taken(f) {
				rows = append(rows, f)
			}
		}
	}
	return rows
}

// retry lists those members left out that this batch may bring.
func (p *planner) retry(missing *Set) (texts []string) {
	if missing.Len() <= len(p.wanted) {
		return slices.Collect(missing.All())
	}
	for ref := range p.wanted {
		if text := ref.String(); missing.Has(text) {
			texts = append(texts, text)
		}
	}
	slices.Sort(texts)
	return texts
}

// learned is what a row will be known to hold when the transaction has committed.
type learned struct {
	owner Owner
	uuid  string
	op    int // index of the insert in Txn.Ops, when the row has no UUID yet
	known Known
}

func (p *planner) learn(it *item, missing *Set) {
	if it.row.Members == nil || it.job.grow {
		return
	}
	l := learned{owner: it.job.owner, op: len(p.out.Ops), known: Known{it.row, missing}}
	if it.found != nil {
		l.uuid = it.found.UUID
	}
	p.out.learned = append(p.out.learned, l)
}

// learn remembers what rows hold. One with another number of members than that has been touched by somebody else meanwhile.
func (c *Conn) learn(txn Txn, results []ovsdb.OperationResult) {
	for _, l := range txn.learned {
		if l.uuid == "" {
			l.uuid = results[l.op+1].UUID.GoUUID // the first operation is the wait
		}
		if !c.index.know(l) && !txn.Empty() {
			c.doubt(l.owner)
		}
	}
}

// know reports whether the row has as many members as it should.
func (x *index) know(l learned) bool {
	e, ok := x.rows[l.uuid]
	if !ok || e.members != l.known.row.Members.Len()-l.known.missing.Len() {
		return false
	}
	e.known = &l.known
	x.rows[l.uuid] = e
	return true
}

// forget makes the next comparison of the row a full one.
func (x *index) forget(uuid string) {
	if e := x.rows[uuid]; e.known != nil {
		e.known = nil
		x.rows[uuid] = e
	}
}

// Forget makes the next comparison of an owner a full one.
func (c *Conn) Forget(o Owner) {
	for _, uuid := range c.index.byOwner[o] {
		c.index.forget(uuid)
	}
}

// Known implements Reader.
func (c *Conn) Known(f Found) *Known { return c.index.rows[f.UUID].known }

// difference returns what must be taken from a set, and what must be added, to make it another one.
func difference(have, want []string) (drop, add []string) {
	if slices.Equal(have, want) {
		return nil, nil
	}
	wanted := make(map[string]bool, len(want)) // false once it is found in have
	for _, s := range want {
		wanted[s] = true
	}
	for _, s := range have {
		if _, ok := wanted[s]; ok {
			wanted[s] = false
		} else {
			drop = append(drop, s)
		}
	}
	for _, s := range want {
		if wanted[s] {
			wanted[s] = false
			add = append(add, s)
		}
	}
	return drop, add
}
