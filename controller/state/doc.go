// Package state holds what the controller knows of the cluster, and knows who has read what of it.
//
//	objects.go  narrow, comparable structs: only what compilers need
//	table.go    a table with indexes; putting an equal object is no change
//	store.go    all tables, the lock, and the bookkeeping of reads
//	groups.go   the Pods that selectors choose (selector.go, labels.go), kept up to date Pod by Pod (place.go, groupindex.go)
//	queue.go    which owners must be compiled again, grouped by the event that caused it
//
// A compiler reads through a View, which records each key and each index value that it asked for, also those that were
// not there. A change then dirties exactly the owners that read it. No feature routes events by hand.
//
// Objects are immutable once put. The package imports the row owners of ovs/nb, names of OVN's rows and the standard library; it does no I/O
// and starts no goroutine. It is rebuilt from Kubernetes at start and never saved.
package state
