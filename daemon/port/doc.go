// Package port connects one Pod to the node's switch: the CNI verbs ADD, DEL, CHECK and GC as plain calls.
//
// ADD, with the parts that are measured:
//
//	wait-pod       the Pod's annotations, written by the controller, in the daemon's table of Pods
//	netns          veth made with its end in the Pod's namespace by one request; addresses, routes
//	ovsdb          port and interface in one transaction
//	ovn-installed  ovn-controller has the port's flows in the switch
//
// netns goes on while ovsdb and ovn-installed run. Nothing polls or sleeps, and no process is started.
//
// What annotations ask of a Pod's traffic is set within ADD, and by Reshape when it changes (shape.go, and package shape).
//
// Copies of packets go to a Pod by a second link, and to collectors and from other nodes by tunnels (tap.go).
//
// It owns the veths named by HostName, the OVS interfaces that carry external_ids:container_id, and those of tap.go. They are all its
// state: a fresh process reads from them what each container has. It may import ovs/vswitch, daemon/shape, cni/api and the API constants of
// crds/v1; it knows nothing of Kubernetes clients, sockets or the CNI environment. Kernel calls are made in the network
// namespace of the process.
//
// Restart: an ADD that dies with the daemon leaves a veth or a port, which the runtime's DEL for the same container removes
// (a runtime sends DEL after a failed ADD), or Sweep does at the next start when the runtime has forgotten the container.
//
// Read next: add.go, then del.go and check.go; table.go is how the Pods get here.
package port
