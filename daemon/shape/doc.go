// Package shape limits, delays and loses packets of Pods, by the queueing disciplines (tc(8)) of the two ends of a Pod's veth.
//
//	to the Pod    the node's end: tbf
//	from the Pod  the Pod's end: netem, and tbf below it
//
// Each end is where packets are sent, so that what is sent too fast waits in a queue, whatever the protocol: a sender in the Pod is
// slowed down, not punished by loss. It is the same with the kernel's datapath and with the one in user space, which reads packets from
// the node's end before any ingress qdisc or policer sees them (docs/decisions/0016-qos.md).
//
//	shape.go   what is wanted: from annotations to numbers of the kernel
//	kernel.go  what is there, and the way from one to the other
//
// It owns the root qdiscs of Pods' veths. They are its state, and go with the veth. It may import netlink and crds/v1.
package shape
