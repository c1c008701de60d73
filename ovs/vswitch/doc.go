// Package vswitch is a client of the node's own Open_vSwitch database: bridges, ports and interfaces,
// and the external_ids by which a node tells its ovn-controller where it stands.
//
// It owns the rows that carry external_ids:vendor=heddle (see Vendor), and the keys that it is asked to set
// in Open_vSwitch:external_ids. Rows of others are left alone, with one exception: AddPort takes an iface-id over, because
// two interfaces with one iface-id make ovn-controller flap the binding between them.
//
// Every row that it writes is one transaction, and it starts no process: no ovs-vsctl. The models name only the
// columns in use and the monitor lists them one by one; a schema that is newer than the models therefore works, where
// monitoring whole tables would let libovsdb's cache diverge in silence (a column that the model lacks stops the update).
// Every call has a deadline, also when the caller's context has none: libovsdb holds a lock over an RPC, so that one
// call without an end would freeze the client for ever.
//
// It may import libovsdb and the standard library, never daemon or controller. Read client.go first, then port.go.
//
// Restart: the database is the state. A fresh client monitors it and goes on; when ovsdb-server goes away the client
// reconnects for ever, calls wait for that until their deadline, and subscribers are told of everything that differs.
package vswitch
