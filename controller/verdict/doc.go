// Package verdict tells whether a packet may start a connection in a cluster with network policies: "what does the API
// promise?", for tests of what compilers and nodes make of it. It is test-only by purpose; nothing that is shipped imports it.
//
// It is written from the text of the API (the documentation of k8s.io/api/networking/v1 and of sigs.k8s.io/network-policy-api,
// v1alpha1 and v1alpha2; for SecurityGroup and Subnet docs/security-groups.md and docs/subnets.md), not from Heddle's compilers, and shares no code with them: it imports the API's types, label
// selectors and netip. Keep it so. It looks at one packet at a time, in the order of the text, and is slow and simple.
//
//	cluster.go                     objects, packets, and the ends of a packet
//	reason.go                      the order of the tiers; who decided
//	networkpolicy.go               NetworkPolicy
//	tier.go                        what the cluster-wide kinds have in common
//	adminnetworkpolicy.go, baselineadminnetworkpolicy.go, clusternetworkpolicy.go
//	securitygroup.go, subnet.go    SecurityGroup; private, allowSubnets and allowEWTraffic of a Subnet
//	selector.go                    selectors, ranges, named ports
//	check.go                       what cannot be judged: domainNames, and what cannot be read
//	table.go                       who reaches whom, printed, and the differences of two such tables
//	generate*.go, change.go        random clusters, and what happens in them
//	shrink.go                      smaller ones that still show a disagreement
//	case.go                        a cluster as YAML in a txtar file, and back
//
// # What the text leaves open
//
// The text does not say these, or says them of one kind only. The choices:
//
//   - A node reaches its own Pods whatever any policy says. The text says so of NetworkPolicy; ingress rules of the other kinds
//     cannot name a node, except by failing closed. The way from a Pod to its node is not exempt: the text does not say it is.
//     (The pages on kubernetes.io do, in a half-sentence on IP blocks.)
//   - A Pod reaches itself.
//   - Pods in the host's network are no subject and no peer of any selector, as the cluster-wide kinds say. They are their node.
//   - Finished Pods, and those without a node or an address, are not there; their address may be another Pod's already.
//   - ipBlock and networks look at the addresses in the packet, of Pods and nodes too. A node that sends from an address that its
//     object does not show (Peer.Addr) is for the blocks of an ingress rule at the first address that it shows, if any range of the rule
//     has that one, excepted or not.
//   - A named port is looked up in the destination Pod, whatever selector has matched: in its containers, and then in init containers
//     that go on running; the first one of that name and the packet's protocol counts. For NetworkPolicy the rule's protocol has to
//     be the same. Where the destination is no Pod, a named port matches nothing; nor does it with an ipBlock of an egress rule, even when a
//     Pod has the address.
//   - Protocols without ports, such as ICMP, match rules that restrict no ports, and those only.
//   - A NetworkPolicy isolates a Pod in the directions that it affects; in the other one the baseline tier is asked.
//   - A connection needs the egress of its source and the ingress of its destination; replies need nothing.
//   - AdminNetworkPolicies and ClusterNetworkPolicies of the Admin tier have one order, by priority. With equal ones,
//     AdminNetworkPolicies come first, then the order is that of the lists; generated clusters have no equal ones.
//   - In the baseline tier the BaselineAdminNetworkPolicy comes last, and Pass of a ClusterNetworkPolicy there skips it.
//   - A port without a field that we know fails closed like such a peer, and so does a protocol without one ("tcp: {}", which the API
//     server refuses); a subject without one selects nobody.
//   - "Deny all" means all: the rule's other peers and its ports do not matter.
//   - A SecurityGroup that does not exist is one of tier 0 for the Pods that name it, and nobody for the rules that do. Tier 1 and the Baseline
//     tier have no order; generated clusters have one of them.
//   - What a private Subnet lets in, or allowEWTraffic, is left to what comes behind: SecurityGroups of tier 1 and the Baseline tier. Raw acls
//     of a Subnet are not evaluated.
//   - A selector or range that cannot be read selects nothing. Check tells of it.
package verdict
