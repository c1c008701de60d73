package nb

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// String prints one line for each change and each owner left out, without UUIDs.
func (t Txn) String() string {
	var b strings.Builder
	for _, c := range t.Changes {
		fmt.Fprintf(&b, "%c %s", c.Action, c.Ref)
		if len(c.Columns) > 0 {
			fmt.Fprintf(&b, " %s", strings.Join(c.Columns, ","))
		}
		fmt.Fprintf(&b, " (%s)\n", c.Owner)
	}
	for _, blocked := range t.Blocked {
		fmt.Fprintf(&b, "! %s %s: %s\n", blocked.Owner, blocked.Reason, blocked.Text())
	}
	for _, m := range t.Missing {
		fmt.Fprintf(&b, "? %s: %s is not there yet\n", m.Owner, m.Ref)
	}
	return b.String()
}

// String prints the row with its parents and every column that is not empty, one to a line.
func (r Row) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Ref())
	for _, e := range r.In {
		fmt.Fprintf(&b, "  in %s %s\n", e.Parent, e.Column)
	}
	t := tableOf(r.Model)
	view := rowOf(t, r.Model)
	for i, c := range t.Columns {
		v := view.column(i)
		if c.Members {
			all := slices.Collect(r.members(t))
			v = &all
		}
		if c.Name != t.Key && !isEmpty(v) {
			fmt.Fprintf(&b, "  %s: %s\n", c.Name, columnText(v))
		}
	}
	if ids := view.externalIDs(); len(ids) > 0 {
		fmt.Fprintf(&b, "  external_ids: %s\n", columnText(&ids))
	}
	return b.String()
}

// columnText prints a managed column; sets and maps are sorted.
func columnText(column any) string {
	switch c := column.(type) {
	case *[]string:
		return strings.Join(slices.Sorted(slices.Values(*c)), ", ")
	case *map[string]string:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(*c)) {
			parts = append(parts, k+"="+(*c)[k])
		}
		return strings.Join(parts, ", ")
	}
	return scalarText(column)
}
