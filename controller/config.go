package controller

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"github.com/heddle-net/heddle/controller/decide"
	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/state"
)

// Config is what the flags of heddle-controller say.
type Config struct {
	// REST reaches the API server.
	REST *rest.Config
	Log  logr.Logger

	// Northbound and Southbound say where the databases are.
	Northbound, Southbound Database

	LeaderElect             bool
	LeaderElectionNamespace string
	// LeaderElectionIdentity is the name under which the lease is held; empty means host and a random part. Who starts again
	// under the name that it had leads on at once, and need not wait for its former self to be forgotten.
	LeaderElectionIdentity  string
	MetricsAddr, HealthAddr string
	Defaults                decide.Defaults
	ServiceCIDR             string // "v4", "v6" or "v4,v6"
	NodeLocalDNS            string // addresses that each node has for itself, separated by commas
	MirrorAll               bool   // copy the packets of all Pods
	ReleaseHeldRemovals     bool   // apply removals that a first pass would hold back
}

// stateConfig checks what the flags say about addresses.
func (c Config) stateConfig() (state.Config, error) {
	services, err := parseCIDRs("--service-cidr", c.ServiceCIDR)
	if err != nil {
		return state.Config{}, err
	}
	pods, err1 := parseCIDRs("--default-cidr", c.Defaults.SubnetCIDR)
	join, err2 := parseCIDRs("--join-cidr", c.Defaults.JoinCIDR)
	dns, err3 := parseNodeLocalDNS(c.NodeLocalDNS, slices.Concat(pods, join))
	return state.Config{
		DefaultVpc: c.Defaults.Vpc, DefaultSubnet: c.Defaults.Subnet, JoinSubnet: c.Defaults.JoinSubnet, ServiceCIDRs: services, NodeLocalDNS: dns, MirrorAll: c.MirrorAll,
	}, errors.Join(err1, err2, err3)
}

// parseNodeLocalDNS reads addresses that Pods' packets can reach a node with: a router forwards what is link-local in IPv4, but not in
// IPv6 (RFC 4291, 2.5.6).
func parseNodeLocalDNS(text string, taken []netip.Prefix) ([]netip.Addr, error) {
	const flag = "--node-local-dns-ip"
	addrs, err := feed.ParseAddrs(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	for i, a := range addrs {
		switch in := slices.IndexFunc(taken, func(p netip.Prefix) bool { return p.Contains(a) }); {
		case a.Is6() && a.IsLinkLocalUnicast():
			return nil, fmt.Errorf("%s: %s is link-local, and routers do not forward that: take an address of fc00::/7", flag, a)
		case !a.IsGlobalUnicast() && !a.IsLinkLocalUnicast():
			return nil, fmt.Errorf("%s: %s is not the address of a host that Pods can ask", flag, a)
		case in >= 0:
			return nil, fmt.Errorf("%s: %s is in %s, where Pods and nodes have their addresses", flag, a, taken[in])
		case slices.Contains(addrs[:i], a):
			return nil, fmt.Errorf("%s: %s is there twice", flag, a)
		}
	}
	return addrs, nil
}

func parseCIDRs(flag, text string) ([]netip.Prefix, error) {
	var cidrs []netip.Prefix
	for _, part := range strings.Split(text, ",") {
		cidr, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("%s: %q is not a CIDR", flag, part)
		}
		cidrs = append(cidrs, cidr.Masked())
	}
	return cidrs, nil
}
