// Package service says what this node has to do for Services: it joins Services and EndpointSlices, as the watches give them,
// to one host.Service each, and answers the health checks of load balancers.
//
//	watch ─▶ Index ─┬─▶ Rows ─▶ host.Input (nftables)
//	                ├─▶ Balancers ─▶ announce.World (which node answers for their addresses)
//	                ├─▶ Lost (the UDP flows whose endpoint is gone, for the daemon to cut)
//	                └─▶ Checks ─▶ Health (HTTP, healthCheckNodePort)
//
// It owns nothing outside the process. Most Services have no row: what only has a ClusterIP and Pods is OVN's alone, and where OVN
// picks the endpoint, a change of endpoints is no change of the row, so that nobody is woken.
//
// The Index keeps the trimmed objects of the watches and never changes them; a row is never changed either once it is given
// away. It imports the Kubernetes API types, and host and announce for the types of what it makes.
//
// Restart: the watches fill the Index anew before anybody reads it.
//
// Read next: row.go (what a node does for one Service), index.go (which Services a change is about), health.go.
package service
