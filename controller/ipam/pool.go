package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
)

// Config is what a Pool takes from a Subnet.
type Config struct {
	CIDRs    []netip.Prefix // one, or one of each family
	Gateways []netip.Addr   // inside of the CIDRs
	Exclude  []Range        // what lies outside of the CIDRs does nothing
	Nodes    []netip.Addr   // which use the range themselves; what lies outside of the CIDRs does nothing
}

// GatewayMAC is the MAC of the router's port in the Subnet; no owner gets it.
func (c Config) GatewayMAC() MAC {
	var both [2]netip.Addr
	for _, gw := range c.Gateways {
		both[FamilyOf(gw)] = gw
	}
	return DefaultMAC(both[IPv4], both[IPv6])
}

// Pool holds the addresses of one Subnet. It may be used by many goroutines.
type Pool struct {
	mu       sync.Mutex
	config   Config
	families [2]*family          // by Family; nil where the Subnet has no such CIDR
	leases   map[string]*holding // by owner
	macs     map[MAC]*holding
}

// NewPool returns an empty pool. Its errors are made for the Subnet's author.
func NewPool(c Config) (*Pool, error) {
	families, err := c.build()
	if err != nil {
		return nil, err
	}
	return &Pool{config: c.clone(), families: families, leases: map[string]*holding{}, macs: map[MAC]*holding{}}, nil
}

// Reconfigure changes gateways, excludes and nodes, and may add the second family. Leases stay as they are, even on addresses
// that are now excluded, a gateway or a node's. A CIDR can neither change nor go. On error nothing changes.
func (p *Pool) Reconfigure(c Config) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.config.equal(c) {
		return nil
	}
	families, err := c.build()
	if err != nil {
		return err
	}
	for i, old := range p.families {
		switch now := families[i]; {
		case old == nil:
		case now == nil:
			return fmt.Errorf("CIDR %s cannot be removed", old.cidr)
		case now.cidr != old.cidr:
			return fmt.Errorf("CIDR %s cannot become %s", old.cidr, now.cidr)
		default:
			now.adopt(old)
		}
	}
	p.config, p.families = c.clone(), families
	return nil
}

func (c Config) build() (families [2]*family, err error) {
	if len(c.CIDRs) == 0 {
		return families, errors.New("no CIDR")
	}
	for _, cidr := range c.CIDRs {
		if err := addFamily(&families, cidr); err != nil {
			return families, err
		}
	}
	for _, gw := range c.Gateways {
		if !gw.IsValid() {
			return families, errors.New("a gateway is not a valid address")
		}
		f := families[FamilyOf(gw)]
		if f == nil {
			return families, fmt.Errorf("gateway %s: the subnet has no %s CIDR", gw, FamilyOf(gw))
		}
		if err := f.setGateway(gw); err != nil {
			return families, err
		}
	}
	for _, a := range c.Nodes {
		if f := families[FamilyOf(a)]; f != nil {
			f.setNode(a)
		}
	}
	for _, r := range c.Exclude {
		if err := r.validate(); err != nil {
			return families, fmt.Errorf("exclude: %w", err)
		}
		if f := families[FamilyOf(r.First)]; f != nil {
			f.exclude(r)
		}
	}
	return families, nil
}

func addFamily(families *[2]*family, cidr netip.Prefix) error {
	if !cidr.IsValid() || cidr.Addr().Is4In6() {
		return errors.New("a CIDR is not valid")
	}
	slot := &families[FamilyOf(cidr.Addr())]
	if *slot != nil {
		return fmt.Errorf("two %s CIDRs: %s and %s", FamilyOf(cidr.Addr()), (*slot).cidr, cidr)
	}
	f, err := newFamily(cidr.Masked())
	*slot = f
	return err
}

func (c Config) clone() Config {
	return Config{slices.Clone(c.CIDRs), slices.Clone(c.Gateways), slices.Clone(c.Exclude), slices.Clone(c.Nodes)}
}

func (c Config) equal(o Config) bool {
	return slices.Equal(c.CIDRs, o.CIDRs) && slices.Equal(c.Gateways, o.Gateways) && slices.Equal(c.Exclude, o.Exclude) && slices.Equal(c.Nodes, o.Nodes)
}

// Holder returns who holds a, or "".
func (p *Pool) Holder(a netip.Addr) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.families[FamilyOf(a)]; f != nil && f.holders[a] != nil {
		return f.holders[a].owner
	}
	return ""
}

// Lease returns what owner holds.
func (p *Pool) Lease(owner string) (Lease, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.held(owner)
	return l, l != Lease{}
}

func (p *Pool) held(owner string) Lease {
	if h := p.leases[owner]; h != nil {
		return h.Lease
	}
	return Lease{}
}

// Leases returns a copy of all leases by owner, for audits.
func (p *Pool) Leases() map[string]Lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	leases := make(map[string]Lease, len(p.leases))
	for owner, h := range p.leases {
		leases[owner] = h.Lease
	}
	return leases
}

// Status is what a Subnet's status shows: Set.Count and Set.Text of each.
type Status struct{ V4, V6 FamilyStatus }

// FamilyStatus has empty sets for a family that the Subnet lacks.
type FamilyStatus struct {
	Using     *Set // all that is held
	Available *Set // what Acquire could still give to owners without a wish
}

// Status takes a snapshot. Its cost grows with the number of ranges in use, not with the free addresses.
func (p *Pool) Status() Status {
	p.mu.Lock()
	families := p.families
	var s [2]FamilyStatus
	for i, f := range families {
		s[i] = FamilyStatus{Using: &Set{}, Available: &Set{}}
		if f != nil {
			s[i].Using = f.used.Clone()
		}
	}
	p.mu.Unlock()
	for i, f := range families {
		if f != nil {
			s[i].Available = f.available(s[i].Using)
		}
	}
	return Status{V4: s[IPv4], V6: s[IPv6]}
}
