package feed

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"

	"github.com/heddle-net/heddle/controller/ipam"
	"github.com/heddle-net/heddle/controller/state"
)

// Subnet converts a Subnet.
func Subnet(obj *v1.Subnet, defaultVpc string) *state.Subnet {
	s := &state.Subnet{
		Name: obj.Name, Vpc: cmp.Or(obj.Spec.Vpc, defaultVpc), Provider: cmp.Or(obj.Spec.Provider, v1.ProviderOVN),
		Accepted: accepted(obj), Created: obj.CreationTimestamp.Time, Unsupported: obj.Spec.Unsupported(),
	}
	config, err := Addresses(&obj.Spec)
	if err == nil {
		_, err = ipam.NewPool(config)
	}
	if err != nil {
		s.Invalid = err.Error()
		return s
	}
	s.CIDRs, s.Gateways = config.CIDRs, config.Gateways
	return s
}

// accepted tells whether the controller has recorded that the Subnet is in force.
func accepted(obj *v1.Subnet) bool {
	return slices.ContainsFunc(obj.Status.Conditions, func(c v1.Condition) bool {
		return c.Type == v1.ConditionReady && c.Status == corev1.ConditionTrue
	})
}

// Addresses reads the address range of a Subnet. A gateway that is not given is the first usable address.
func Addresses(spec *v1.SubnetSpec) (ipam.Config, error) {
	var config ipam.Config
	if spec.CIDRBlock == "" {
		return config, errors.New("spec.cidrBlock is empty")
	}
	for _, text := range strings.Split(spec.CIDRBlock, ",") {
		cidr, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			return config, fmt.Errorf("spec.cidrBlock: %q is not a CIDR", text)
		}
		config.CIDRs = append(config.CIDRs, cidr.Masked())
	}
	gateways, err := parseAddrs(spec.Gateway)
	if err != nil {
		return config, fmt.Errorf("spec.gateway: %w", err)
	}
	for _, cidr := range config.CIDRs {
		config.Gateways = append(config.Gateways, gatewayOf(cidr, gateways))
	}
	if len(gateways) > 0 {
		if len(gateways) != len(config.CIDRs) {
			return config, fmt.Errorf("spec.gateway: %q does not have one address for each CIDR of %q", spec.Gateway, spec.CIDRBlock)
		}
		config.Gateways = gateways // also those outside of the CIDR: the pool refuses them with a reason
	}
	for _, text := range spec.ExcludeIps {
		r, err := ipam.ParseRange(text)
		if err != nil {
			return config, fmt.Errorf("spec.excludeIps: %w", err)
		}
		config.Exclude = append(config.Exclude, r)
	}
	return config, nil
}

// gatewayOf picks the gateway of a family, the first usable address where none is given.
func gatewayOf(cidr netip.Prefix, gateways []netip.Addr) netip.Addr {
	for _, g := range gateways {
		if g.Is4() == cidr.Addr().Is4() {
			return g
		}
	}
	return cidr.Addr().Next()
}

// parseAddrs reads "v4", "v6" or "v4,v6"; an empty text has none.
func parseAddrs(text string) ([]netip.Addr, error) {
	if text == "" {
		return nil, nil
	}
	var addrs []netip.Addr
	for _, part := range strings.Split(text, ",") {
		addr, err := netip.ParseAddr(strings.TrimSpace(part))
		if err != nil || addr.Zone() != "" {
			return nil, fmt.Errorf("%q is not an IP address", part)
		}
		addrs = append(addrs, addr.Unmap())
	}
	return addrs, nil
}
