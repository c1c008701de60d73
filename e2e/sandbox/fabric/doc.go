// Package fabric connects the machines of a sandbox with links.
//
// One machine is the router. It holds two bridges: "nodes", with the nodes and the control plane, and
// "outside", with the hosts that are not of the cluster. Every other machine has one link, eth0, whose
// other end is a port of one of the bridges and is named after the machine; the router is its default
// gateway. There is no link from the router, or from anything else here, to the host's own network: a
// packet that leaves a machine can only reach another machine.
//
// It owns the addresses (documentation ranges of RFC 5737 and RFC 3849) and the links; it imports netlink.
// Package cluster says which machine is plugged into what.
//
// Restart: links live in the namespaces of machines and go with them. A machine that is made again
// is plugged again.
package fabric
