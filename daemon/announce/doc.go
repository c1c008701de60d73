// Package announce answers, on one live node, for the addresses that Services have from pools in the nodes' own network: the kernel
// of that node has the address and answers ARP and neighbour solicitations. What then arrives is translated by package host, as
// on every node.
//
//	World (Services, Nodes, Subnets) ─▶ Candidates ─┐
//	Leases of all nodes ─▶ Peers (who lives) ───────┼─▶ owner of each address ─▶ address on the link, gratuitous ARP
//	own Lease, renewed each second ─▶ granted until ┘
//
// Which node answers is no decision that is written down: of the candidates that live, the one with the highest hash of its name and
// the address. All nodes see the same objects and come to the same answer.
//
// Who lives is seen by Leases, each written by its own node while it is a candidate. A node counts as dead when its Lease
// has not changed for as long as the Lease says, by the clock of who watches. It stops by itself before that: an address is
// put on the link for as long as the last renewal allows, and the kernel takes it away then (valid_lft of ip-address(8)), also
// when this process is killed or stands still. So two nodes do not answer for one address.
//
// An address on the link has a full prefix, no route, a lifetime, and is deprecated (preferred_lft 0), so that it is nobody's
// source: that is how package host, which leaves such addresses alone, and a fresh process recognise one.
//
// Restart: a process that ends on purpose asks for more time by its Lease. One that starts and finds its Lease still held
// renews it first of all, before it knows anything else, and the addresses on the link with it.
//
// All kernel calls are made from the goroutine that runs Run, in the network namespace of its thread. It imports host, and no
// Kubernetes: the Lease is written by the function in Config. Read next: elect.go (who), peers.go (who lives), announcer.go (when), link.go.
package announce
