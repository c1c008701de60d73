package fabric

import "github.com/heddle-net/heddle/e2e/sandbox/machine"

// HostSysctls are for every machine: it takes no address and no route but those it is given.
func HostSysctls() []machine.Sysctl {
	return []machine.Sysctl{
		{Key: "net/ipv6/conf/default/accept_ra", Value: "0"},
		{Key: "net/ipv6/conf/default/accept_dad", Value: "0"}, // link-local addresses work at once
	}
}

// NodeSysctls are for machines that forward: the nodes, as kubelet asks, and the router.
func NodeSysctls() []machine.Sysctl {
	return append(HostSysctls(),
		machine.Sysctl{Key: "net/ipv4/ip_forward", Value: "1"},
		machine.Sysctl{Key: "net/ipv6/conf/all/forwarding", Value: "1"},
	)
}
