package feed

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	v1 "github.com/heddle-net/heddle/crds/v1"

	"github.com/heddle-net/heddle/controller/ipam"
	"github.com/heddle-net/heddle/controller/state"
)

// Subnet converts a Subnet.
func Subnet(obj *v1.Subnet, defaultVpc string) *state.Subnet {
	s := &state.Subnet{
		Name: obj.Name, Vpc: cmp.Or(obj.Spec.Vpc, defaultVpc), Provider: cmp.Or(obj.Spec.Provider, v1.ProviderOVN),
		Accepted: obj.InForce(), Created: obj.CreationTimestamp.Time, Unsupported: obj.Spec.Unsupported(),
		Services: obj.Spec.EnableLb == nil || *obj.Spec.EnableLb, L2: obj.Spec.Provider == v1.ProviderL2,
		Security: subnetSecurity(&obj.Spec.SubnetSecuritySpec),
	}
	config, err := Addresses(&obj.Spec)
	if err == nil {
		_, err = ipam.NewPool(config)
	}
	if err != nil {
		s.Invalid = err.Error()
		return s
	}
	s.CIDRs, s.Gateways, s.GatewayMAC = config.CIDRs, config.Gateways, config.GatewayMAC().String()
	return s
}

// Addresses reads the address range of a Subnet, IPv4 first. A gateway that is not given is the first usable address.
func Addresses(spec *v1.SubnetSpec) (ipam.Config, error) {
	var config ipam.Config
	if spec.CIDRBlock == "" {
		return config, errors.New("spec.cidrBlock is empty")
	}
	var err error
	if config.CIDRs, err = cidrsOf(spec.CIDRBlock); err != nil {
		return config, fmt.Errorf("spec.cidrBlock: %w", err)
	}
	if config.Gateways, err = gatewaysOf(spec, config.CIDRs); err != nil {
		return config, fmt.Errorf("spec.gateway: %w", err)
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

func cidrsOf(text string) ([]netip.Prefix, error) {
	var cidrs []netip.Prefix
	for _, part := range strings.Split(text, ",") {
		cidr, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil || cidr.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is not a CIDR", part)
		}
		cidrs = append(cidrs, cidr.Masked())
	}
	slices.SortStableFunc(cidrs, func(a, b netip.Prefix) int { return byFamily(a.Addr(), b.Addr()) })
	return cidrs, nil
}

// gatewaysOf gives each CIDR its gateway. One that does not fit its CIDR is refused later, by the pool, with a reason.
func gatewaysOf(spec *v1.SubnetSpec, cidrs []netip.Prefix) ([]netip.Addr, error) {
	gateways, err := ParseAddrs(spec.Gateway)
	if err != nil {
		return nil, err
	}
	if len(gateways) == 0 {
		for _, cidr := range cidrs {
			gateways = append(gateways, firstUsable(cidr))
		}
	}
	slices.SortStableFunc(gateways, byFamily)
	for i := range cidrs {
		if len(gateways) != len(cidrs) || len(cidrs) > 1 && gateways[i].Is4() != cidrs[i].Addr().Is4() {
			return nil, fmt.Errorf("%q does not have one address for each CIDR of %q", spec.Gateway, spec.CIDRBlock)
		}
	}
	return gateways, nil
}

// firstUsable is the address after the network's own; a range of two addresses has none of those (RFC 3021, RFC 6164).
func firstUsable(cidr netip.Prefix) netip.Addr {
	if cidr.Bits() == cidr.Addr().BitLen()-1 {
		return cidr.Addr()
	}
	return cidr.Addr().Next()
}

// byFamily orders IPv4 before IPv6.
func byFamily(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) }

// ParseAddrs reads addresses separated by commas, as "v4", "v6" or "v4,v6"; an empty text has none. The error names the one that
// cannot be read.
func ParseAddrs(text string) ([]netip.Addr, error) {
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
