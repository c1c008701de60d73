package nb

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Want is everything that one owner wants; no rows means that the owner is gone.
type Want struct {
	Owner Owner
	Rows  []Row
	// Grow leaves members of large sets in them that are not wanted any more.
	Grow bool
	// Keep leaves rows that are not wanted any more.
	Keep bool
}

// Found is a row of the database as the planner sees it.
type Found struct {
	UUID  string
	Table *Table
	ID    string
	Owner Owner  // zero when the row carries no owner of ours
	In    string // external_ids:heddle-in
}

// Ref is the symbolic name of the row.
func (f Found) Ref() Ref { return Ref{f.Table.Name, f.ID} }

// Parent is what the row is listed in, the first one if there are several.
func (f Found) Parent() Ref {
	if edges := parseIn(f.In); len(edges) > 0 {
		return edges[0].Parent
	}
	return Ref{}
}

// Reader answers the planner's questions about the database. Each answer costs a map look-up, never a scan.
type Reader interface {
	// Owned returns the rows that carry this owner.
	Owned(Owner) []Found
	// Find returns the row of that name, ours or not.
	Find(Ref) (Found, bool)
	// Inside returns the rows that are listed in that row: they vanish with it, unless they are listed elsewhere too.
	Inside(Ref) []Found
	// Row returns the columns of a row, which the caller must not change.
	Row(Found) model.Model
	// Known returns what a row with Members was last made equal to, nil when that is not certain.
	Known(Found) *Known
}

// Known is a row with Members that the database holds, so that only what has changed since must be compared.
type Known struct {
	row     Row
	missing *Set // members that were left out
}

// Reasons why an owner cannot be made equal now.
const (
	ReasonMissingParent = "MissingParent" // a row that ours is to be listed in does not exist
	ReasonRowTaken      = "RowTaken"      // another owner, or somebody who is not Heddle, has a row of this name
	ReasonNotEmpty      = "NotEmpty"      // a row that must go still holds other owners' rows
	ReasonNoParent      = "NoParent"      // a row of a non-root table says no parent and would vanish at commit
	ReasonBadText       = "BadText"       // a text has a NUL byte: the server would drop the connection
)

// Blocked says why an owner was left out of a transaction; nothing of it is applied.
type Blocked struct {
	Owner  Owner
	Reason string
	Ref    Ref     // the parent that is missing, the row that is taken, or the row that is not empty
	By     []Owner // owners that hold the row, or that have rows in it; empty when it is not ours
}

// Text is the blockage as a sentence for people.
func (b Blocked) Text() string {
	switch b.Reason {
	case ReasonMissingParent:
		return fmt.Sprintf("%s does not exist yet", b.Ref)
	case ReasonRowTaken:
		if len(b.By) == 0 {
			return fmt.Sprintf("%s exists and was not made by Heddle", b.Ref)
		}
		return fmt.Sprintf("%s belongs to %s", b.Ref, b.By[0])
	case ReasonNotEmpty:
		return fmt.Sprintf("%s still holds rows of %d others, the first is %s", b.Ref, len(b.By), b.By[0])
	}
	if b.Reason == ReasonBadText {
		return fmt.Sprintf("a text of %s has a NUL byte", b.Ref)
	}
	return fmt.Sprintf("%s names no parent", b.Ref)
}

// Missing is a member of a set that was left out because it does not exist.
type Missing struct {
	Owner Owner
	Ref   Ref
}

// planner holds one batch.
type planner struct {
	have    Reader
	jobs    []*job
	byOwner map[Owner]*job
	wanted  map[Ref]*item
	gone    map[string]*job // by UUID of a row that its owner no longer wants
	out     Txn

	edges    []ovsdb.Operation // one for each edgeSet
	edgeAt   map[edgeSet]int   // index in edges
	removals []ovsdb.Operation
}

// job is one owner of the batch.
type job struct {
	owner   Owner
	grow    bool
	items   []*item
	gone    []Found
	blocked *Blocked
}

// item is one wanted row, matched with the row in the database if there is one.
type item struct {
	job   *job
	table *Table
	ref   Ref
	row   Row
	found *Found
	known *Known
	name  string // named UUID, when the row is inserted

	drop, add []string // how Members differs from what is known
}

// Plan yields the transaction that makes the rows of each owner equal to what it wants, together, or says which owners
// are blocked. An empty Txn means that the database already agrees. Where two owners want the same row, the one that has
// it keeps it; where neither has it, the first in wants gets it.
func Plan(have Reader, wants []Want) Txn {
	p := &planner{
		have: have, byOwner: make(map[Owner]*job, len(wants)), wanted: make(map[Ref]*item, 2*len(wants)),
		gone: make(map[string]*job), edgeAt: make(map[edgeSet]int),
	}
	for _, want := range wants {
		p.match(want)
	}
	for p.settle() {
	}
	p.emit()
	return p.out
}

// match pairs the wanted rows with the rows in the database by name.
func (p *planner) match(want Want) {
	j := &job{owner: want.Owner, grow: want.Grow}
	p.jobs = append(p.jobs, j)
	p.byOwner[want.Owner] = j
	kept := make(map[string]bool, len(want.Rows))
	for _, row := range want.Rows {
		it := &item{job: j, table: tableOf(row.Model), ref: row.Ref(), row: row}
		if other := p.wanted[it.ref]; other != nil {
			j.block(ReasonRowTaken, it.ref, other.job.owner)
			continue
		}
		j.items = append(j.items, it)
		if found, ok := p.have.Find(it.ref); ok {
			it.found, kept[found.UUID] = &found, true
		}
		p.wanted[it.ref] = it
		p.matchMembers(it)
		if !rowOf(it.table, row.Model).encodable() || slices.ContainsFunc(it.add, unencodable) {
			j.block(ReasonBadText, it.ref)
		}
	}
	for _, found := range p.have.Owned(want.Owner) {
		if !kept[found.UUID] && !want.Keep {
			j.gone = append(j.gone, found)
			p.gone[found.UUID] = j
		}
	}
	slices.SortFunc(j.gone, func(a, b Found) int { return a.Ref().compare(b.Ref()) })
}

func (j *job) block(reason string, ref Ref, by ...Owner) {
	if j.blocked == nil {
		j.blocked = &Blocked{Owner: j.owner, Reason: reason, Ref: ref, By: by}
	}
}

// settle blocks owners that cannot be served, and reports whether it found another one: leaving one out may take away
// what others need.
func (p *planner) settle() (more bool) {
	for _, j := range p.jobs {
		if j.blocked != nil {
			continue
		}
		p.checkItems(j)
		p.checkGone(j)
		more = more || j.blocked != nil
	}
	return more
}

func (p *planner) checkItems(j *job) {
	for _, it := range j.items {
		if it.found != nil && it.found.Owner != j.owner && !p.mayTake(*it.found) {
			j.block(ReasonRowTaken, it.ref, holder(*it.found)...)
		}
		if len(it.row.In) == 0 && !it.table.Root {
			j.block(ReasonNoParent, it.ref)
		}
		for _, edge := range it.row.In {
			if _, ok := p.resolve(edge.Parent); !ok {
				j.block(ReasonMissingParent, edge.Parent)
			}
		}
	}
}

// mayTake tells whether a row of another owner is free: Kube-OVN left it behind, or its owner lets go of it in this batch.
func (p *planner) mayTake(f Found) bool {
	if f.Owner == (Owner{}) {
		return rowOf(f.Table, p.have.Row(f)).externalIDs()[keyVendor] == vendorKubeOVN
	}
	return p.leaving(f)
}

func holder(f Found) []Owner {
	if f.Owner == (Owner{}) {
		return nil
	}
	return []Owner{f.Owner}
}

// checkGone refuses to remove a row while other owners' rows are in it: OVSDB would remove them silently.
func (p *planner) checkGone(j *job) {
	for _, f := range j.gone {
		if p.taken(f) || p.duplicate(f) {
			continue
		}
		inside := make(map[Owner]bool)
		for _, inner := range p.have.Inside(f.Ref()) {
			if p.vanishes(inner, f.Ref(), j) {
				inside[inner.Owner] = true
			}
		}
		if len(inside) > 0 {
			j.block(ReasonNotEmpty, f.Ref(), slices.SortedFunc(maps.Keys(inside), Owner.Compare)...)
		}
	}
}

// vanishes tells whether another owner loses a row when this job removes its parent.
func (p *planner) vanishes(inner Found, parent Ref, j *job) bool {
	return inner.Owner != j.owner && !p.leaving(inner) && !p.moving(inner) && !p.elsewhere(inner, parent)
}

// leaving tells whether the row's owner is in this batch, can be served, and does not want the row any more.
func (p *planner) leaving(f Found) bool {
	j := p.gone[f.UUID]
	return j != nil && j.blocked == nil
}

// moving tells whether this batch puts the row into another parent.
func (p *planner) moving(f Found) bool {
	it := p.wanted[f.Ref()]
	return it != nil && it.job.blocked == nil && inText(it.row.In) != f.In
}

// elsewhere tells whether the row is listed in another parent too, one that stays.
func (p *planner) elsewhere(f Found, parent Ref) bool {
	return slices.ContainsFunc(parseIn(f.In), func(e Edge) bool {
		other, ok := p.have.Find(e.Parent)
		return ok && e.Parent != parent && !p.leaving(other)
	})
}

// taken tells whether another owner of this batch takes the row over, so that it must not be removed.
func (p *planner) taken(f Found) bool {
	it := p.wanted[f.Ref()]
	return it != nil && it.found != nil && it.found.UUID == f.UUID && it.job.blocked == nil
}

// duplicate tells whether the row is a second one of a name that its owner keeps.
func (p *planner) duplicate(f Found) bool {
	it := p.wanted[f.Ref()]
	return it != nil && it.job.owner == f.Owner
}

// resolve returns the UUID, or the named UUID, that a reference has once this batch is applied.
func (p *planner) resolve(ref Ref) (string, bool) {
	if it := p.wanted[ref]; it != nil && it.job.blocked == nil {
		if it.found != nil {
			return it.found.UUID, true
		}
		if it.name == "" {
			p.out.named++
			it.name = fmt.Sprintf("r%d", p.out.named)
		}
		return it.name, true
	}
	found, ok := p.have.Find(ref)
	if !ok || found.Owner == (Owner{}) || p.leaving(found) {
		return "", false
	}
	return found.UUID, true
}
