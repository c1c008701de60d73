package nb

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Relist asks the database in which parents our rows are really listed, and returns the owners of those that somebody has moved.
// It is for audits: the columns are not monitored, because a switch may list 50,000 ports, and are read as a whole here.
func (c *Conn) Relist(ctx context.Context) (Drift, error) {
	columns := c.index.parentColumns()
	ops := make([]ovsdb.Operation, len(columns))
	for i, p := range columns {
		ops[i] = ovsdb.Operation{Op: ovsdb.OperationSelect, Table: p.table, Columns: []string{"_uuid", p.column}}
	}
	results, err := c.transact(ctx, ops)
	if err != nil {
		return Drift{}, fmt.Errorf("read who is listed where: %w", err)
	}
	listed := make(map[string][]Edge, len(c.index.rows))
	for i, p := range columns {
		for _, row := range results[i].Rows {
			parent, known := c.index.rows[row["_uuid"].(ovsdb.UUID).GoUUID]
			for _, child := range uuids(row[p.column]) {
				if known {
					listed[child] = append(listed[child], Edge{parent.Ref(), p.column})
				}
			}
		}
	}
	var drift Drift
	for uuid, e := range c.index.rows {
		if in := inText(sorted(listed[uuid])); in != inText(sorted(parseIn(e.In))) && e.Owner != (Owner{}) {
			c.index.relist(uuid, in)
			drift.Owners = append(drift.Owners, e.Owner)
		}
	}
	return drift.tidy(), nil
}

type parentColumn struct{ table, column string }

// parentColumns are those that list rows of ours.
func (x *index) parentColumns() []parentColumn {
	seen := make(map[parentColumn]bool)
	for _, e := range x.rows {
		for _, edge := range parseIn(e.In) {
			seen[parentColumn{edge.Parent.Table, edge.Column}] = true
		}
	}
	columns := make([]parentColumn, 0, len(seen))
	for p := range seen {
		columns = append(columns, p)
	}
	return columns
}

// uuids reads a set of references in a reply: one member comes bare (RFC 7047, 5.1).
func uuids(v any) []string {
	switch v := v.(type) {
	case ovsdb.UUID:
		return []string{v.GoUUID}
	case ovsdb.OvsSet:
		list := make([]string, 0, len(v.GoSet))
		for _, member := range v.GoSet {
			if u, ok := member.(ovsdb.UUID); ok {
				list = append(list, u.GoUUID)
			}
		}
		return list
	}
	return nil
}

func sorted(edges []Edge) []Edge {
	slices.SortFunc(edges, func(a, b Edge) int { return strings.Compare(a.String(), b.String()) })
	return edges
}
