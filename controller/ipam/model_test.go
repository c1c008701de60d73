package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// model is a Pool as one would write it with lists only: it looks at every address of the CIDR each time.
type model struct {
	config   Config
	leases   map[string]Lease
	released []netip.Addr
}

func (m *model) cidr(f Family) (netip.Prefix, bool) {
	for _, c := range m.config.CIDRs {
		if FamilyOf(c.Addr()) == f {
			return c, true
		}
	}
	return netip.Prefix{}, false
}

// all lists the addresses of a family in ascending order.
func (m *model) all(f Family) (addrs []netip.Addr) {
	cidr, ok := m.cidr(f)
	for a := cidr.Addr(); ok && cidr.Contains(a); a = a.Next() {
		addrs = append(addrs, a)
	}
	return addrs
}

func (m *model) reserved(a netip.Addr) bool {
	raw := a.AsSlice()
	low := raw[len(raw)-1] % 16 // the CIDRs have 16 addresses
	return low == 0 || a.Is4() && low == 15 || slices.Contains(m.config.Gateways, a)
}

func (m *model) excluded(a netip.Addr) bool {
	return slices.ContainsFunc(m.config.Exclude, func(r Range) bool { return !a.Less(r.First) && !r.Last.Less(a) })
}

func (m *model) holder(a netip.Addr) string {
	for owner, l := range m.leases {
		if l.V4 == a || l.V6 == a {
			return owner
		}
	}
	return ""
}

func (m *model) macHolder(mac MAC) string {
	for owner, l := range m.leases {
		if l.MAC == mac {
			return owner
		}
	}
	return ""
}

func (m *model) free(a netip.Addr) bool {
	return !m.reserved(a) && !m.excluded(a) && m.holder(a) == ""
}

func (m *model) available(f Family) []netip.Addr {
	return slices.DeleteFunc(m.all(f), func(a netip.Addr) bool { return !m.free(a) })
}

func (m *model) using(f Family) []netip.Addr {
	return slices.DeleteFunc(m.all(f), func(a netip.Addr) bool { return m.holder(a) == "" })
}

func (m *model) next(f Family) (netip.Addr, bool) {
	for _, a := range m.available(f) {
		if !slices.Contains(m.released, a) {
			return a, true
		}
	}
	for _, a := range m.released {
		if FamilyOf(a) == f {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func (m *model) claim(owner string, a netip.Addr, want *Lease, seen map[Family]bool) string {
	f := FamilyOf(a)
	cidr, ok := m.cidr(f)
	switch {
	case !ok || !cidr.Contains(a):
		return "OutsideError"
	case seen[f]:
		return "RequestError"
	case m.holder(a) != "" && m.holder(a) != owner:
		return "ConflictError"
	}
	*want.addr(f), seen[f] = a, true
	return ""
}

func (m *model) mac(owner string, held, want Lease, asked string) (MAC, string) {
	if asked != "" {
		mac, _ := ParseMAC(asked)
		if mac == m.gatewayMAC() && held.MAC != mac {
			return MAC{}, "RequestError"
		}
		if h := m.macHolder(mac); h != "" && h != owner {
			return MAC{}, "ConflictError"
		}
		return mac, ""
	}
	kept := (!held.V4.IsValid() || held.V4 == want.V4) && (!held.V6.IsValid() || held.V6 == want.V6)
	if kept && held.MAC != (MAC{}) {
		return held.MAC, ""
	}
	for n := 0x58; ; n++ {
		mac, _ := ParseMAC(fmt.Sprintf("0a:%02x%s", n, DefaultMAC(want.V4, want.V6).String()[5:]))
		if h := m.macHolder(mac); (h == "" || h == owner) && mac != m.gatewayMAC() {
			return mac, ""
		}
	}
}

func (m *model) gatewayMAC() MAC {
	var v4, v6 netip.Addr
	for _, gw := range m.config.Gateways {
		if gw.Is4() {
			v4 = gw
		} else {
			v6 = gw
		}
	}
	return DefaultMAC(v4, v6)
}

func (m *model) acquire(owner string, req Request) (Lease, string) {
	held := m.leases[owner]
	want := held
	seen := map[Family]bool{}
	for _, a := range req.Static {
		if failure := m.claim(owner, a, &want, seen); failure != "" {
			return Lease{}, failure
		}
		if m.reserved(a) && held.V4 != a && held.V6 != a {
			return Lease{}, "ReservedError"
		}
	}
	families := req.Families
	if len(families) == 0 && held == (Lease{}) {
		families = []Family{IPv4, IPv6}
	}
	for _, f := range families {
		if want.addr(f).IsValid() {
			continue
		}
		if _, ok := m.cidr(f); !ok {
			if len(req.Families) == 0 {
				continue
			}
			return Lease{}, "RequestError"
		}
		a, ok := m.next(f)
		if !ok {
			return Lease{}, "ExhaustedError"
		}
		*want.addr(f) = a
	}
	mac, failure := m.mac(owner, held, want, req.MAC)
	if failure != "" {
		return Lease{}, failure
	}
	want.MAC = mac
	m.set(owner, want)
	return want, ""
}

func (m *model) hold(owner string, addrs []netip.Addr, asked string) (failed bool) {
	held := m.leases[owner]
	want := held
	seen := map[Family]bool{}
	for _, a := range addrs {
		failed = m.claim(owner, a, &want, seen) != "" || failed
	}
	if want == (Lease{}) {
		return failed
	}
	mac, failure := m.mac(owner, held, want, asked)
	want.MAC = mac
	m.set(owner, want)
	return failed || failure != ""
}

func (m *model) set(owner string, want Lease) {
	held := m.leases[owner]
	delete(m.leases, owner)
	if want != (Lease{}) {
		m.leases[owner] = want
	}
	for _, a := range held.Addrs() {
		if m.free(a) {
			m.released = append(m.released, a)
		}
	}
	m.prune()
}

func (m *model) prune() {
	m.released = slices.DeleteFunc(m.released, func(a netip.Addr) bool { return !m.free(a) })
}

func (m *model) reconfigure(c Config) bool {
	old := *m
	m.config = c
	for f := range IPv6 + 1 {
		was, had := old.cidr(f)
		if now, _ := m.cidr(f); had && now != was {
			*m = old
			return false
		}
	}
	m.prune()
	return true
}

// listing prints sorted addresses as Set.String does.
func listing(addrs []netip.Addr) string {
	var parts []string
	for i := 0; i < len(addrs); {
		j := i
		for j+1 < len(addrs) && addrs[j+1] == addrs[j].Next() {
			j++
		}
		if i == j {
			parts = append(parts, addrs[i].String())
		} else {
			parts = append(parts, addrs[i].String()+"-"+addrs[j].String())
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}
