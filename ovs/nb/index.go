package nb

import (
	"slices"

	"github.com/ovn-kubernetes/libovsdb/model"
)

// index finds the rows of the database by owner, by name and by parent. It keeps no columns of its own, only where to look
// and a hash of what was last seen there.
type index struct {
	rows    map[string]entry // by UUID
	byOwner map[Owner][]string
	byRef   map[Ref]string
	inside  map[Ref]map[string]bool // rows by each of their parents; a switch may hold 50,000 ports
}

type entry struct {
	Found
	// said is the row's own mark of where it is listed. Found.In is the same until an audit has found it elsewhere.
	said    string
	sum     uint64
	members int    // how many, in a table with a large column
	known   *Known // what the row was made equal to, nil when it has changed since, or is to be compared in full
	// model is the row in the client's cache, which replaces rows and never changes them; nil when it has changed since the
	// last Rescan. The cache hands out single rows as copies only, which would be half of the cost of an audit.
	model model.Model
}

func newIndex() *index {
	return &index{
		rows: make(map[string]entry), byOwner: make(map[Owner][]string),
		byRef: make(map[Ref]string), inside: make(map[Ref]map[string]bool),
	}
}

// entryOf reads our marks in a row. A row without an owner of ours is known by its name only.
func entryOf(t *Table, uuid string, m model.Model) entry {
	r := rowOf(t, m)
	ids := r.externalIDs()
	owner, _ := ParseOwner(ids[keyOwner])
	f := Found{UUID: uuid, Table: t, ID: r.key(), Owner: owner, In: ids[keyIn]}
	if t.Key == "" {
		f.ID = ids[keyID]
	}
	e := entry{Found: f, said: f.In, sum: r.sum()}
	if t.members >= 0 {
		e.members = len(r.set(t.members))
	}
	return e
}

// put records what a row looks like now, nil when it is gone, and adds to drift whose row it was and is; nothing when the row
// is as it was last put.
func (x *index) put(t *Table, uuid string, m model.Model, drift *Drift) {
	old, had := x.rows[uuid]
	var now entry
	if m != nil {
		now = entryOf(t, uuid, m)
	}
	if old.said == now.said {
		now.In = old.In
	}
	if old.Found == now.Found && old.sum == now.sum {
		x.share(uuid, nil)
		return
	}
	if had {
		x.drop(old)
		drift.Owners = append(drift.Owners, old.Owner)
		drift.Refs = append(drift.Refs, old.Ref())
	}
	if m != nil {
		x.add(now)
		drift.Owners = append(drift.Owners, now.Owner)
		drift.Refs = append(drift.Refs, now.Ref())
	}
}

// relist notes where the row is really listed.
func (x *index) relist(uuid, in string) {
	if e, ok := x.rows[uuid]; ok && e.In != in {
		x.drop(e)
		e.In = in
		x.add(e)
	}
}

// share remembers the cache's own copy of a row.
func (x *index) share(uuid string, m model.Model) {
	if e, ok := x.rows[uuid]; ok && e.model != m {
		e.model = m
		x.rows[uuid] = e
	}
}

func (x *index) add(e entry) {
	x.rows[e.UUID] = e
	if e.Owner != (Owner{}) {
		x.byOwner[e.Owner] = append(x.byOwner[e.Owner], e.UUID)
	}
	for _, edge := range parseIn(e.In) {
		if x.inside[edge.Parent] == nil {
			x.inside[edge.Parent] = make(map[string]bool)
		}
		x.inside[edge.Parent][e.UUID] = true
	}
	if e.ID == "" {
		return
	}
	// A row of ours wins over a stranger of the same name.
	if other, ok := x.byRef[e.Ref()]; !ok || x.rows[other].Owner == (Owner{}) {
		x.byRef[e.Ref()] = e.UUID
	}
}

func (x *index) drop(e entry) {
	delete(x.rows, e.UUID)
	x.dropOwned(e)
	for _, edge := range parseIn(e.In) {
		delete(x.inside[edge.Parent], e.UUID)
		if len(x.inside[edge.Parent]) == 0 {
			delete(x.inside, edge.Parent)
		}
	}
	if x.byRef[e.Ref()] != e.UUID {
		return
	}
	delete(x.byRef, e.Ref())
	for _, uuid := range x.byOwner[e.Owner] { // a duplicate of the same owner takes the name
		if x.rows[uuid].Ref() == e.Ref() {
			x.byRef[e.Ref()] = uuid
		}
	}
}

func (x *index) dropOwned(e entry) {
	list := slices.DeleteFunc(x.byOwner[e.Owner], func(uuid string) bool { return uuid == e.UUID })
	if len(list) == 0 {
		delete(x.byOwner, e.Owner)
		return
	}
	x.byOwner[e.Owner] = list
}

func (x *index) found(uuids []string) []Found {
	list := make([]Found, len(uuids))
	for i, uuid := range uuids {
		list[i] = x.rows[uuid].Found
	}
	return list
}
