package controller

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"github.com/heddle-net/heddle/controller/decide"
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
	ReleaseHeldRemovals     bool   // apply removals that a first pass would hold back
}

// stateConfig checks what the flags say about addresses.
func (c Config) stateConfig() (state.Config, error) {
	services, err := parseCIDRs("--service-cidr", c.ServiceCIDR)
	if err != nil {
		return state.Config{}, err
	}
	_, err1 := parseCIDRs("--default-cidr", c.Defaults.SubnetCIDR)
	_, err2 := parseCIDRs("--join-cidr", c.Defaults.JoinCIDR)
	return state.Config{
		DefaultVpc: c.Defaults.Vpc, DefaultSubnet: c.Defaults.Subnet, JoinSubnet: c.Defaults.JoinSubnet, ServiceCIDRs: services,
	}, errors.Join(err1, err2)
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
