// Package dns is the node's half of policies by domain name: it sees what Pods are answered by the cluster's DNS servers, and holds an
// answer back until the network lets the Pod reach the addresses in it.
//
//	OVS ─▶ host end of a Pod ─ egress hook: source port 53 of a server? ─ no ─▶ Pod
//	                                        │ yes                            ▲
//	                                        ▼                                │ the very frame
//	                                heddle-dns0 ═ heddle-dns1 ─▶ Gate ─ Hold ┘
//
// An nftables table of the family netdev has a chain at the egress hook of each host end. It marks the answer with the index of that link
// and redirects it to a veth pair of ours, where a packet socket reads it, with the mark. So where it belongs is known without
// knowing the Pods' MACs, which need not be unique on a node. The frame goes out of the same link with a mark that the chain lets
// through. PACKET_QDISC_BYPASS would not do: packet sockets run the egress hook with it too, and the Pod's queueing discipline, which the answer
// has not met yet, would be left out. The pair is one of veths because Pods have these as well: a dummy link is a module that a kernel may lack.
//
// Frames are read and sent with struct virtio_net_hdr (packet(7), PACKET_VNET_HDR): what comes from a Pod of the same node has no checksum yet
// and may be longer than the MTU, and both stay as they are.
//
// Frames to a Pod that are not held overtake those that are, except on the TCP connection of a held one: TCP sends again what nobody
// acknowledges, maybe in other pieces, and these wait for it.
//
// All of it fails open, and policies closed: an answer that is not understood, held too long, or one too many to be held, goes on; the
// Pod is refused then by its policy. The table is owned by the process's netlink socket (NFT_TABLE_F_OWNER): the kernel takes it away with
// the process, however that ends, and answers flow as if it had never been there. What a killed process leaves is the pair, which nothing
// is sent to; the next one replaces it. Without Pods to look after there is no table, no link and no socket.
//
// Which marks are used matters to nobody: one is on the frame only until it is read, the other is taken off when the frame enters the
// Pod's network namespace. It takes Linux 5.19, for the mark of a frame that is read (SO_RCVMARK).
//
// All netlink calls are made from the goroutine that runs Run, in the network namespace of its thread. It knows nothing of Kubernetes or OVN.
// Read next: answer.go (what is an answer), gate.go (when), hold.go (how long), table.go and pair.go (how).
package dns
