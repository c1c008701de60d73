// Package nb makes the OVN northbound database equal to what its owners want.
//
// An Owner (pod/ns/name, subnet/name, …) wants a complete list of Rows. Plan compares them with the rows in the
// database that carry this owner and yields the smallest set of operations; Conn.Commit applies them as one
// transaction. Creating, changing, deleting, repairing after a restart and taking over are the same call with
// different wants: an owner that is gone wants no rows.
//
//	row.go      Owner, Ref, Edge, Row: what a compiler says
//	columns.go  which tables and columns are managed, the one place that knows
//	value.go    comparing, hashing and encoding the columns of a row
//	plan.go     match, settle, then emit.go writes the operations
//	members.go  large sets (set.go) are compared by what changed since the row was last made equal, as long as that is certain
//	conn.go     the connection: monitor, and an index by owner, name and parent (index.go)
//	commit.go   one transaction, fenced: only the newest leader may write
//	listed.go   which rows somebody has listed in another parent, for audits
//	text.go     rows and plans as text, for goldens, logs and people
//
// The package owns the rows that carry heddle-owner in external_ids, and nothing else: a row without it is never
// touched, with one exception, a row that Kube-OVN left behind (external_ids:vendor=kube-ovn) and that has the name
// of a row we want: it is adopted.
//
// A fresh process knows everything it needs from the database itself: the owner, the identity and the parents of
// each row are kept in the row's external_ids. Nothing else is remembered, so a restart plans no operation.
//
// It may import libovsdb and the standard library; it never imports the controller.
package nb
