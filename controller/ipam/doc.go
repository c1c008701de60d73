// Package ipam gives addresses to owners: a pure data structure, no I/O, no clock, no randomness.
//
// It owns, in memory, who holds which address and MAC in which Subnet. The durable truth is the IP objects in
// Kubernetes; decide writes one for each Lease it acquires. An owner is the name of such an object
// ("web-0.default", "node-n1").
//
//	IPAM ── Pool (one Subnet, one lock) ── family (IPv4 or IPv6) ── Set of used, Set of fresh, queue of released
//
// What a newcomer should know:
//   - Addresses never used are given first, in ascending order; then released ones, the oldest release first. So an
//     address that was just released is the last to come back, and caches of it elsewhere can age out.
//   - The network, broadcast and subnet-router anycast addresses, the gateways and the nodes' are nobody's; excluded addresses are
//     given only to an owner that asks for them.
//   - Everything is ranges: a free /8 or /64 costs one Range. Counts are computed from the ranges, never kept.
//   - An Acquire that fails changes nothing, in both families.
//
// Restart: make the pools, Hold every IP object (oldest first, so that the older claim wins), then Acquire. Only the
// order of releases is lost: after a restart every free address is fresh.
//
// It imports the standard library without os, net, time and math/rand. Read range.go, set.go, family.go, pool.go, lease.go.
package ipam
