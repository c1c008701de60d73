// Package host keeps the node's own network as Heddle wants it: the port ovn0 with the join address, the routes into the
// overlay, the sysctls, the nftables tables and, with the user-space datapath, the bridge br-phy that carries the uplink.
//
// It is the same loop as the controller's, with the kernel in the place of the database:
//
//	Update(Input) ─┐
//	netlink event ─┼─▶ observe ─▶ Compile (pure) ─▶ MakePlan (pure) ─▶ apply
//	OVS change ────┘
//
// There is no start-up, repair or delete code: a fresh process, a route deleted by hand, a restarted ovs-vswitchd and a
// removed Subnet are all the same pass with another observation. Nothing runs by a timer, except the retry of a failed pass.
// A pass on a node that is as wanted plans no operation, starts no process and writes nothing.
//
// How a fresh process knows what is ours:
//
//	routes          protocol number 72 (RouteProtocol), in the main table
//	nftables        the tables "inet heddle" and "netdev heddle"
//	bridges, ports  external_ids:heddle-owner=host in OVS; the links ovn0 and br-phy are these rows' links, and
//	                every global address on ovn0 is ours
//	the uplink      br-phy's external_ids:heddle-uplink: NIC, MAC, addresses and routes as they were before they moved.
//	                It is written in the transaction that creates br-phy, before anything moves, so that a process killed
//	                between any two steps, or started while the API server is unreachable, knows what to restore
//	sysctls         not ours alone: they are raised, never reset
//
// Anything else is left alone. Where a foreign route holds a destination that we need, that is a problem to report, not a
// route to replace.
//
// Before the first Update only the uplink is looked after: without its input the overlay's state is unknown, and an empty
// cache must not empty the node. All kernel calls are made from the goroutine that runs Run or Teardown, so the network
// namespace is that of its thread. The package imports no Kubernetes and no OVSDB: it asks for an OVS.
//
// Read next: compile.go (what a node should have), plan.go (what is missing), run.go (when), uplink.go (moving the NIC),
// FORWARDING.md (a packet's way through the host, and hosts whose firewall drops what is forwarded).
package host
