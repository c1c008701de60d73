package nb

import (
	"maps"
	"slices"
	"strings"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/heddle-net/heddle/ovs/nb/db"
)

// Txn is the smallest transaction that serves a batch. It is empty when there is nothing to do.
type Txn struct {
	Ops     []ovsdb.Operation
	Changes []Change  // one for each row that is created, changed or removed
	Blocked []Blocked // owners left out
	Missing []Missing // weak members left out
	// Fenced asks every ovn-controller to tell its node when it has installed what the transaction changes, by NB_Global's nb_cfg
	// (ovn-nb(5)): a load balancer loses an endpoint whose flows are to be cut (options:ct_flush), or a row with Fence gets a member.
	Fenced bool

	learned []learned
	named   int
}

// Empty tells whether the database already agrees with every owner that is not blocked.
func (t Txn) Empty() bool { return len(t.Ops) == 0 }

// Removed counts the rows that the transaction removes.
func (t Txn) Removed() (n int) {
	for _, c := range t.Changes {
		if c.Action == Remove {
			n++
		}
	}
	return n
}

// Action is what happens to a row.
type Action byte

// Actions, as they are printed.
const (
	Create Action = '+'
	Modify Action = '~'
	Remove Action = '-'
)

// Change tells what a transaction does to one row.
type Change struct {
	Action  Action
	Owner   Owner
	Ref     Ref
	UUID    string   // empty when created
	Columns []string // changed columns, when modified

	op int // index of the insert in Txn.Ops
}

// edgeSet is one column of one parent, with the mutator that is applied to it.
type edgeSet struct {
	table, uuid, column string
	mutator             ovsdb.Mutator
}

// emit writes the operations of the owners that are not blocked. OVSDB checks references and names at commit only, but a
// condition on a row finds it only after the insert: edges follow inserts, and removals come last.
func (p *planner) emit() {
	for _, j := range p.jobs {
		if j.blocked != nil {
			p.out.Blocked = append(p.out.Blocked, *j.blocked)
			continue
		}
		for _, it := range j.items {
			if it.found == nil {
				p.insert(it)
			} else {
				p.update(it)
			}
		}
	}
	for _, j := range p.jobs {
		for _, f := range j.gone {
			if j.blocked == nil && !p.taken(f) {
				p.remove(f)
			}
		}
	}
	p.out.Ops = slices.Concat(p.out.Ops, p.edges, p.removals)
}

// marks are our own keys in the external_ids of a row.
func (it *item) marks() map[string]string {
	marks := map[string]string{keyOwner: it.job.owner.String()}
	if it.table.Key == "" {
		marks[keyID] = it.ref.ID
	}
	if len(it.row.In) > 0 {
		marks[keyIn] = inText(it.row.In)
	}
	return marks
}

func (p *planner) insert(it *item) {
	name, _ := p.resolve(it.ref)
	r := rowOf(it.table, it.row.Model)
	columns := make(ovsdb.Row, len(it.table.Columns)+1)
	for i, c := range it.table.Columns {
		if c.Members {
			members, missing := p.members(it, c)
			if len(members) > 0 {
				columns[c.Name] = encodeSet(members, c.Refs)
			}
			p.learn(it, missing)
		} else if v := r.column(i); !isEmpty(v) {
			columns[c.Name] = encode(v)
		}
	}
	ids := maps.Clone(r.externalIDs())
	if ids == nil {
		ids = make(map[string]string, 3)
	}
	maps.Copy(ids, it.marks())
	if it.table.externalIDs >= 0 {
		columns[columnExternalIDs] = encodeMap(ids)
	}
	p.out.Fenced = p.out.Fenced || it.row.Fence && it.row.Members.Len() > 0
	p.change(Change{Action: Create, Owner: it.job.owner, Ref: it.ref, op: len(p.out.Ops)})
	p.op(ovsdb.Operation{Op: ovsdb.OperationInsert, Table: it.table.Name, UUIDName: name, Row: columns})
	for _, edge := range it.row.In {
		p.edge(edge, ovsdb.MutateOperationInsert, name)
	}
}

func (p *planner) update(it *item) {
	have, want := p.haveRow(it), rowOf(it.table, it.row.Model)
	columns := make(ovsdb.Row)
	var mutations []ovsdb.Mutation
	var changed []string
	for i, c := range it.table.Columns {
		switch {
		case c.Members:
			mutations = append(mutations, p.mutateMembers(it, c, have.set(i))...)
		case !equalColumn(have.column(i), want.column(i)):
			columns[c.Name] = encode(want.column(i))
			changed = append(changed, c.Name)
		}
	}
	if it.row.Fence && slices.ContainsFunc(mutations, func(m ovsdb.Mutation) bool { return m.Mutator == ovsdb.MutateOperationInsert }) {
		p.out.Fenced = true
	}
	mutations = append(mutations, mutateIDs(it, have.externalIDs(), want.externalIDs())...)
	for _, m := range mutations {
		changed = append(changed, m.Column)
	}
	if len(changed) == 0 && it.found.In != inText(it.row.In) { // somebody has moved it, its marks are as they were
		changed = append(changed, keyIn)
	}
	if len(changed) == 0 {
		return
	}
	p.fence(*it.found, it.row.Model)
	p.change(Change{Action: Modify, Owner: it.job.owner, Ref: it.ref, UUID: it.found.UUID, Columns: slices.Compact(changed)})
	where := whereUUID(it.found.UUID)
	if len(columns) > 0 {
		p.op(ovsdb.Operation{Op: ovsdb.OperationUpdate, Table: it.table.Name, Where: where, Row: columns})
	}
	if len(mutations) > 0 {
		p.op(ovsdb.Operation{Op: ovsdb.OperationMutate, Table: it.table.Name, Where: where, Mutations: mutations})
	}
	p.moveEdges(it)
}

// marked tells whether the row carries our marks as they should be, which is where its Found comes from.
func (it *item) marked() bool {
	return it.found.Owner == it.job.owner && it.found.In == inText(it.row.In)
}

func includes(m, part map[string]string) bool {
	for k, v := range part {
		if have, ok := m[k]; !ok || have != v {
			return false
		}
	}
	return true
}

// mutateIDs sets our marks and the owner's own keys; keys of others stay.
func mutateIDs(it *item, have, want map[string]string) []ovsdb.Mutation {
	if it.marked() && includes(have, want) {
		return nil
	}
	marks := it.marks()
	maps.Copy(marks, want)
	set := make(map[string]string)
	var drop []string
	for k, v := range marks {
		if old, ok := have[k]; !ok || old != v {
			set[k] = v
			if ok {
				drop = append(drop, k)
			}
		}
	}
	if _, ok := have[keyIn]; ok && marks[keyIn] == "" {
		drop = append(drop, keyIn)
	}
	slices.Sort(drop)
	var mutations []ovsdb.Mutation
	if len(drop) > 0 {
		mutations = append(mutations, *ovsdb.NewMutation(columnExternalIDs, ovsdb.MutateOperationDelete, encodeSet(drop, false)))
	}
	if len(set) > 0 {
		mutations = append(mutations, *ovsdb.NewMutation(columnExternalIDs, ovsdb.MutateOperationInsert, encodeMap(set)))
	}
	return mutations
}

// moveEdges lists the row in its new parents and takes it out of the old ones. An adopted row has no old ones that we know.
func (p *planner) moveEdges(it *item) {
	if inText(it.row.In) == it.found.In {
		return
	}
	old := parseIn(it.found.In)
	for _, edge := range it.row.In {
		if !slices.Contains(old, edge) {
			p.edge(edge, ovsdb.MutateOperationInsert, it.found.UUID)
		}
	}
	for _, edge := range old {
		if !slices.Contains(it.row.In, edge) {
			p.edge(edge, ovsdb.MutateOperationDelete, it.found.UUID)
		}
	}
}

// remove takes a row out of its parents, which is all that OVSDB needs to drop a row of a non-root table.
func (p *planner) remove(f Found) {
	p.fence(f, &db.LoadBalancer{})
	p.change(Change{Action: Remove, Owner: f.Owner, Ref: f.Ref(), UUID: f.UUID})
	for _, edge := range parseIn(f.In) {
		p.edge(edge, ovsdb.MutateOperationDelete, f.UUID)
	}
	if f.Table.Root {
		p.removals = append(p.removals, ovsdb.Operation{Op: ovsdb.OperationDelete, Table: f.Table.Name, Where: whereUUID(f.UUID)})
	}
}

// fence notes a load balancer that cuts flows and loses an endpoint.
func (p *planner) fence(f Found, want model.Model) {
	if f.Table.Name != db.LoadBalancerTable || p.out.Fenced {
		return
	}
	have := p.have.Row(f).(*db.LoadBalancer)
	p.out.Fenced = have.Options["ct_flush"] == "true" && loses(have.Vips, want.(*db.LoadBalancer).Vips)
}

// loses tells whether an endpoint of a VIP is not there any more.
func loses(have, want map[string]string) bool {
	for vip, list := range have {
		if want[vip] == list {
			continue
		}
		stays := make(map[string]bool)
		for endpoint := range strings.SplitSeq(want[vip], ",") {
			stays[endpoint] = true
		}
		for endpoint := range strings.SplitSeq(list, ",") {
			if endpoint != "" && !stays[endpoint] {
				return true
			}
		}
	}
	return false
}

// edge adds the row to, or takes it from, a column of a parent; all rows of one column share one operation. A parent that
// goes away in this transaction needs none.
func (p *planner) edge(e Edge, mutator ovsdb.Mutator, uuid string) {
	parent, ok := p.resolve(e.Parent)
	if !ok {
		return
	}
	key := edgeSet{e.Parent.Table, parent, e.Column, mutator}
	if i, ok := p.edgeAt[key]; ok {
		m := &p.edges[i].Mutations[0]
		set := m.Value.(ovsdb.OvsSet)
		set.GoSet = append(set.GoSet, ovsdb.UUID{GoUUID: uuid})
		m.Value = set
		return
	}
	p.edgeAt[key] = len(p.edges)
	p.edges = append(p.edges, ovsdb.Operation{
		Op: ovsdb.OperationMutate, Table: e.Parent.Table, Where: whereUUID(parent),
		Mutations: []ovsdb.Mutation{*ovsdb.NewMutation(e.Column, mutator, encodeSet([]string{uuid}, true))},
	})
}

func (p *planner) op(op ovsdb.Operation) { p.out.Ops = append(p.out.Ops, op) }

func (p *planner) change(c Change) { p.out.Changes = append(p.out.Changes, c) }

// whereUUID is the only condition that ovsdb-server answers without a scan.
func whereUUID(uuid string) []ovsdb.Condition {
	return []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: uuid})}
}
