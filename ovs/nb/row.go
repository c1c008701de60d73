package nb

import (
	"cmp"
	"strings"

	"github.com/ovn-kubernetes/libovsdb/model"
)

// Owner is the unit of recompute and of garbage collection: everything that one Kubernetes object, or one shared set,
// wants in the northbound database.
type Owner struct {
	Kind string // "pod", "subnet", …
	Key  string // "namespace/name" or "name"
}

// String prints kind/key, the form kept in external_ids:heddle-owner.
func (o Owner) String() string { return o.Kind + "/" + o.Key }

// Compare orders owners by kind, then key.
func (o Owner) Compare(p Owner) int {
	return cmp.Or(strings.Compare(o.Kind, p.Kind), strings.Compare(o.Key, p.Key))
}

// ParseOwner is the inverse of Owner.String; ok is false when s names no owner.
func ParseOwner(s string) (o Owner, ok bool) {
	kind, key, ok := strings.Cut(s, "/")
	return Owner{kind, key}, ok && kind != "" && key != ""
}

// NameOf is the name of the one row that an owner has in a table without external_ids (Load_Balancer_Group): there, the name
// says whose it is.
func NameOf(o Owner) string { return namePrefix + o.String() }

const namePrefix = "heddle:"

// Ref names a row without its UUID. Compilers write it, as text, in columns that refer to other rows; the planner
// turns it into a UUID at the last moment.
type Ref struct {
	Table string // OVN's name of the table
	ID    string // the row's name, or Row.ID in tables whose rows have no name
}

// String prints @table/id.
func (r Ref) String() string { return "@" + r.Table + "/" + r.ID }

func (r Ref) compare(q Ref) int {
	return cmp.Or(strings.Compare(r.Table, q.Table), strings.Compare(r.ID, q.ID))
}

// ParseRef is the inverse of Ref.String.
func ParseRef(s string) (r Ref, ok bool) {
	rest, ok := strings.CutPrefix(s, "@")
	if !ok {
		return Ref{}, false
	}
	table, id, ok := strings.Cut(rest, "/")
	return Ref{table, id}, ok
}

// Edge says "this row is listed in that parent's column". Edges belong to the child: parents never manage those columns.
type Edge struct {
	Parent Ref
	Column string
}

// String prints table/id:column, the form kept in external_ids:heddle-in.
func (e Edge) String() string { return e.Parent.Table + "/" + e.Parent.ID + ":" + e.Column }

// parseEdge is the inverse of Edge.String. A column name has no colon, a parent's name may.
func parseEdge(s string) (e Edge, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return Edge{}, false
	}
	table, id, ok := strings.Cut(s[:i], "/")
	return Edge{Ref{table, id}, s[i+1:]}, ok
}

// Row is one row that an owner wants.
type Row struct {
	// ID tells the row from the owner's and everybody's other rows of the table. In tables with a name it is the name.
	ID string
	// Model is a pointer to one of the structs of package db. References are Refs as text. The planner fills in the
	// UUID and its own external_ids; the model itself is not changed.
	Model model.Model
	// Members is the set of the table's large column (columns.go), in place of that column of the model, which stays empty. A
	// compiler that keeps it from one time to the next makes the comparison cheap; nil leaves the column to the model.
	Members *Set
	// Fence has every node told when a member that is new is in force there (Txn.Fenced).
	Fence bool
	// In lists the parents. A row of a table that is not a root needs one, or OVSDB removes it at commit.
	In []Edge
}

// Ref is the symbolic name of the row.
func (r Row) Ref() Ref { return Ref{tableOf(r.Model).Name, r.ID} }

// inText is the value of external_ids:heddle-in.
func inText(edges []Edge) string {
	if len(edges) == 1 {
		return edges[0].String()
	}
	parts := make([]string, len(edges))
	for i, e := range edges {
		parts[i] = e.String()
	}
	return strings.Join(parts, ",")
}

// parseIn is the inverse of inText; text that is not ours gives no edges.
func parseIn(s string) []Edge {
	if s == "" {
		return nil
	}
	parts := strings.Split(s, ",")
	edges := make([]Edge, 0, len(parts))
	for _, part := range parts {
		if e, ok := parseEdge(part); ok {
			edges = append(edges, e)
		}
	}
	return edges
}
