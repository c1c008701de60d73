package heddle

import (
	"fmt"
	"strings"
)

// Match is the filter as Open vSwitch has it: a match of ovs-ofctl(8) without masks.
func (f *TrafficFilter) Match() string {
	v6 := f.Family == IPv6
	protocol := map[Protocol]string{"": "ip", TCP: "tcp", UDP: "udp", SCTP: "sctp", ICMP: "icmp"}[f.Protocol]
	source, destination := "nw_src", "nw_dst"
	if v6 {
		source, destination = "ipv6_src", "ipv6_dst"
		protocol = strings.Replace(protocol+"6", "ip6", "ipv6", 1)
	}
	parts := []string{protocol}
	if f.Source != "" {
		parts = append(parts, source+"="+f.Source)
	}
	if f.Destination != "" {
		parts = append(parts, destination+"="+f.Destination)
	}
	if f.SourcePort != 0 {
		parts = append(parts, fmt.Sprintf("tp_src=%d", f.SourcePort))
	}
	if f.DestinationPort != 0 {
		parts = append(parts, fmt.Sprintf("tp_dst=%d", f.DestinationPort))
	}
	return strings.Join(parts, ",")
}
