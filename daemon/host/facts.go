package host

import (
	"context"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// facts reads what Compile must know. known is the uplink of the last pass: it counts when br-phy is gone, by hand or with
// OVS's database, and the tunnel address with it.
func (k *kernel) facts(ctx context.Context, cfg Config, known *Uplink) (Facts, error) {
	var f Facts
	if err := k.readNFT(); err != nil {
		return f, err
	}
	for _, b := range k.barring {
		f.Barriers = append(f.Barriers, b.advice())
	}
	b, err := k.ovs.Bridge(ctx, LinkUplink)
	switch {
	case err != nil: // nothing is known of br-phy: see below, and the OVS part of observe
		f.Away = !k.carrier(LinkUplink)
	case b != nil && b.ExternalIDs[OwnerKey] != OwnerHost:
		f.Foreign = true
	case b != nil:
		if f.Uplink, err = parseRecord(b.ExternalIDs[UplinkKey]); err != nil {
			f.Foreign, f.Broken = true, err.Error()
		}
		f.Moved = err == nil
	}
	if err := k.preferNIC(cfg, &f); err != nil {
		return f, err
	}
	if f.Uplink == nil {
		f.Uplink = known
	}
	if f.Uplink != nil {
		if l, err := k.nl.LinkByName(f.Uplink.NIC); err == nil {
			f.MTU = l.Attrs().MTU
		}
	}
	return f, nil
}

// preferNIC looks at the NIC where there is no record, and where the record is of another boot: while br-phy has no address
// and the NIC has the tunnel address, nothing has moved yet, and what the NIC has now is what has to move. What we may have
// changed ourselves stays as recorded.
func (k *kernel) preferNIC(cfg Config, f *Facts) error {
	recorded := f.Uplink
	if recorded != nil && k.hasAddress(LinkUplink) {
		return nil
	}
	u, unmoved, err := k.findUplink(cfg)
	if err != nil || u == nil {
		return err
	}
	if recorded != nil && recorded.NIC == u.NIC {
		u.GRO, u.AcceptRA = recorded.GRO, recorded.AcceptRA
	}
	f.Uplink, f.Unmoved = u, unmoved
	return nil
}

// carrier reports that somebody is at the other end; of an internal port, which is a tap, that is ovs-vswitchd.
func (k *kernel) carrier(link string) bool {
	l, err := k.nl.LinkByName(link)
	return err == nil && l.Attrs().RawFlags&unix.IFF_LOWER_UP != 0
}

func (k *kernel) hasAddress(link string) bool {
	l, err := k.nl.LinkByName(link)
	if err != nil {
		return false
	}
	addrs, err := k.addrs(l)
	return err == nil && len(addrs) > 0
}

// findUplink describes the link other than br-phy that carries the tunnel address, nil when there is none. Addresses and
// routes are only of interest when they are to move.
func (k *kernel) findUplink(cfg Config) (*Uplink, []string, error) {
	list, err := k.nl.AddrList(nil, unix.AF_UNSPEC)
	if err != nil {
		return nil, nil, fmt.Errorf("addresses: %w", err)
	}
	ours := -1
	if l, err := k.nl.LinkByName(LinkUplink); err == nil {
		ours = l.Attrs().Index
	}
	i := slices.IndexFunc(list, func(a netlink.Addr) bool { return addrFrom(a.IP) == cfg.EncapIP && a.LinkIndex != ours })
	if i < 0 {
		return nil, nil, nil
	}
	l, err := k.nl.LinkByIndex(list[i].LinkIndex)
	switch {
	case isNotFound(err):
		return nil, nil, nil
	case err != nil:
		return nil, nil, fmt.Errorf("link %d: %w", list[i].LinkIndex, err)
	case cfg.Datapath != DatapathNetdev:
		return &Uplink{NIC: l.Attrs().Name}, nil, nil
	}
	return k.describe(l)
}

// describe reads what br-phy has to take over. Routes that it cannot carry (more than one next hop, other tables) are named.
// Routes of router advertisements are learnt again.
func (k *kernel) describe(l netlink.Link) (*Uplink, []string, error) {
	name := l.Attrs().Name
	u := &Uplink{NIC: name, MAC: l.Attrs().HardwareAddr.String()}
	u.AcceptRA = heedsRA(name)
	u.GRO, _ = readOffload(name, offloadGRO)
	var err error
	if u.Addrs, err = k.addrs(l); err != nil {
		return nil, nil, err
	}
	var unmoved []string
	for _, f := range []int{unix.AF_INET, unix.AF_INET6} {
		list, err := k.nl.RouteListFiltered(f, &netlink.Route{}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, nil, fmt.Errorf("routes: %w", err)
		}
		for _, r := range list {
			unmoved = append(unmoved, u.take(r, f, l.Attrs().Index)...)
		}
	}
	return u, unmoved, nil
}

// heedsRA is the accept_ra that means on a router what the link's value means now; empty without IPv6.
func heedsRA(link string) string {
	accept, ok := readSysctl(acceptRA(link))
	forwards, _ := readSysctl(forwardIPv6)
	switch {
	case !ok:
		return ""
	case accept == "2", accept == "1" && forwards == "0":
		return "2"
	}
	return "0"
}

// take keeps a route that leads through the link, or names it when br-phy cannot have it.
func (u *Uplink) take(r netlink.Route, family, link int) []string {
	route, ok := routeOf(r, family)
	route.Link = u.NIC
	through := r.LinkIndex == link
	switch {
	case !ok || route.Protocol == unix.RTPROT_RA || route.Protocol == RouteProtocol:
	case through && r.Table == unix.RT_TABLE_MAIN && r.Via == nil:
		u.Routes = append(u.Routes, route)
	case through || nexthop(r, link):
		return []string{fmt.Sprintf("%s in table %d", route.Dst, r.Table)}
	}
	return nil
}

func nexthop(r netlink.Route, link int) bool {
	for _, h := range r.MultiPath {
		if h.LinkIndex == link {
			return true
		}
	}
	return false
}
