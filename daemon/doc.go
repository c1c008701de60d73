// Package daemon is the process on every node that connects Pods and keeps the node's own network.
//
//	CNI plugin ──socket──▶ Server ─▶ port.Manager ─▶ netns, veth, OVS
//	Kubernetes ──watch───▶ Tables of Pods, Subnets, Nodes, Services, EndpointSlices ─▶ port.Manager · chassis loop · host.Host
//	                       Announcer ─▶ the addresses of load balancers on the uplink, this node's Lease
//	                       mirrors ─▶ filters of OVS's mirrors, and where their copies go (with port and host)
//	                       chassis loop ─▶ Open_vSwitch:external_ids, br-int, Node annotation
//
// It owns the socket, the files of the CNI configuration, the keys of Open_vSwitch:external_ids named in chassis.go and the Node's
// chassis annotation. What a Pod has is owned by daemon/port, the node's own network by daemon/host, the addresses of load balancers by
// daemon/announce. It starts no process.
//
// Where to start reading: run.go (all parts and their order), server.go, chassis.go, watch.go; then package port.
//
// Restart: nothing is changed by it. The tables are filled from the API before requests are taken; what is in OVS and the kernel is
// compared and left alone when it is as wanted. OVS, the API server and ovn-controller may all go away and come back: the
// daemon reconnects, answers STATUS with 50 meanwhile, and never exits for it.
package daemon
