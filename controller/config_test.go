package controller

import (
	"testing"

	"github.com/heddle-net/heddle/controller/decide"
)

// TestNodeLocalDNS: an address that cannot work is refused at start.
func TestNodeLocalDNS(t *testing.T) {
	for _, c := range []struct{ addresses, want string }{
		{"", ""},
		{"169.254.20.10", ""},
		{"169.254.20.10, FD00:10:254::10", ""},
		{"10.96.0.10", ""}, // the ClusterIP of DNS
		{"169.254.20", `--node-local-dns-ip: "169.254.20" is not an IP address`},
		{"169.254.20.10,", `--node-local-dns-ip: "" is not an IP address`},
		{"169.254.20.10/32", `--node-local-dns-ip: "169.254.20.10/32" is not an IP address`},
		{"fe80::10", "--node-local-dns-ip: fe80::10 is link-local, and routers do not forward that: take an address of fc00::/7"},
		{"fe80::10%eth0", `--node-local-dns-ip: "fe80::10%eth0" is not an IP address`},
		{"127.0.0.53", "--node-local-dns-ip: 127.0.0.53 is not the address of a host that Pods can ask"},
		{"224.0.0.251", "--node-local-dns-ip: 224.0.0.251 is not the address of a host that Pods can ask"},
		{"255.255.255.255", "--node-local-dns-ip: 255.255.255.255 is not the address of a host that Pods can ask"},
		{"::", "--node-local-dns-ip: :: is not the address of a host that Pods can ask"},
		{"10.16.0.10", "--node-local-dns-ip: 10.16.0.10 is in 10.16.0.0/16, where Pods and nodes have their addresses"},
		{"100.64.0.10", "--node-local-dns-ip: 100.64.0.10 is in 100.64.0.0/16, where Pods and nodes have their addresses"},
		{"169.254.20.10,169.254.20.10", "--node-local-dns-ip: 169.254.20.10 is there twice"},
	} {
		cfg := Config{ServiceCIDR: "10.96.0.0/12", NodeLocalDNS: c.addresses, Defaults: decide.Defaults{SubnetCIDR: "10.16.0.0/16", JoinCIDR: "100.64.0.0/16"}}
		_, err := cfg.stateConfig()
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.addresses, got, c.want)
		}
	}
}
