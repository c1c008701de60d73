package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// interest is what a Desired speaks of: what has to be read, and which events matter.
type interest struct {
	links        map[string]bool
	bridges      map[string]bool
	ports        map[string]bool
	sysctls      map[string]bool
	destinations map[netip.Prefix]bool
}

func interestOf(want Desired) interest {
	i := interest{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[netip.Prefix]bool{}}
	for _, s := range want.Segments {
		i.segment(s)
	}
	return i
}

func (i interest) segment(s Segment) {
	for _, l := range s.Links {
		i.links[l.Name] = true
	}
	for _, r := range s.Routes {
		i.destinations[r.Dst] = true
	}
	for _, c := range s.Sysctls {
		i.sysctls[c.Key] = true
		if c.Until != "" {
			i.sysctls[c.Until] = true
		}
	}
	for _, b := range s.Bridges {
		i.bridges[b.Name] = true
	}
	for _, p := range s.Ports {
		i.ports[p.Name] = true
	}
	if s.Bare != "" {
		i.links[s.Bare] = true
	}
	for _, name := range s.NoBridges {
		i.bridges[name] = true
	}
	for _, name := range s.NoPorts {
		i.ports[name], i.links[name] = true, true
	}
}

// observe reads what want speaks of. OVS not answering leaves OVS's part unknown, and the rest is still put right.
func (k *kernel) observe(ctx context.Context, want Desired) (Observed, error) {
	i := interestOf(want)
	have := Observed{Sysctls: map[string]string{}}
	for key := range i.sysctls {
		if v, ok := readSysctl(key); ok {
			have.Sysctls[key] = v
		}
	}
	if err := k.observeLinks(i, want, &have); err != nil {
		return have, err
	}
	var err error
	if have.Routes, err = k.observeRoutes(i); err != nil {
		return have, err
	}
	if err := k.readNFT(); err != nil {
		return have, err
	}
	have.Tables = k.tables
	k.observeFlows(want, &have)
	have.OVS = k.observeOVS(ctx, i, &have)
	return have, nil
}

func (k *kernel) observeOVS(ctx context.Context, i interest, have *Observed) error {
	have.Bridges, have.Ports = map[string]Bridge{}, map[string]Port{}
	for name := range i.bridges {
		b, err := k.ovs.Bridge(ctx, name)
		if err != nil {
			return fmt.Errorf("ovs bridge %s: %w", name, err)
		}
		if b != nil {
			have.Bridges[name] = *b
		}
	}
	for name := range i.ports {
		p, err := k.ovs.Port(ctx, name)
		if err != nil {
			return fmt.Errorf("ovs port %s: %w", name, err)
		}
		if p != nil {
			have.Ports[name] = *p
		}
	}
	return nil
}

func (k *kernel) observeLinks(i interest, want Desired, have *Observed) error {
	have.Links = map[string]Link{}
	for _, name := range slices.Sorted(maps.Keys(i.links)) {
		l, err := k.nl.LinkByName(name)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
		have.Links[name] = linkOf(l, want)
		addrs, err := k.addrs(l)
		if err != nil {
			return err
		}
		for _, p := range addrs {
			have.Addrs = append(have.Addrs, Addr{Link: name, Prefix: p})
		}
	}
	return nil
}

// linkOf reads a link; offloads only where some segment manages them. A link that cannot tell (gone meanwhile) differs.
func linkOf(l netlink.Link, want Desired) Link {
	a := l.Attrs()
	out := Link{Name: a.Name, MAC: a.HardwareAddr.String(), MTU: a.MTU, Up: a.Flags&net.FlagUp != 0}
	for _, s := range want.Segments {
		for _, w := range s.Links {
			if w.Name == a.Name && w.TxCsum != "" {
				out.TxCsum, _ = readOffload(a.Name, offloadTxCsum)
			}
			if w.Name == a.Name && w.GRO != "" {
				out.GRO, _ = readOffload(a.Name, offloadGRO)
			}
		}
	}
	return out
}

// addrs are the global addresses of a link, without IPv6 privacy addresses, which the kernel makes and drops by itself, and without
// announced ones.
func (k *kernel) addrs(l netlink.Link) ([]netip.Prefix, error) {
	var out []netip.Prefix
	list, err := k.nl.AddrList(l, unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("addresses of %s: %w", l.Attrs().Name, err)
	}
	for _, a := range list {
		if a.Scope == unix.RT_SCOPE_UNIVERSE && !Announced(a) && (a.IP.To4() != nil || a.Flags&unix.IFA_F_TEMPORARY == 0) {
			out = append(out, prefixOf(a.IPNet))
		}
	}
	return out, nil
}

// observeRoutes reads the main table, and keeps what plans are about.
func (k *kernel) observeRoutes(i interest) ([]Route, error) {
	names, err := k.linkNames(i)
	if err != nil {
		return nil, err
	}
	var out []Route
	for _, f := range []int{unix.AF_INET, unix.AF_INET6} {
		list, err := k.nl.RouteListFiltered(f, &netlink.Route{}, 0)
		if err != nil {
			return nil, fmt.Errorf("routes: %w", err)
		}
		for _, r := range list {
			route, ok := routeOf(r, f)
			route.Link = names[r.LinkIndex]
			if route.Protocol == RouteProtocol && route.Link == "" {
				route.Link = k.linkName(r.LinkIndex)
			}
			if ok && (route.Protocol == RouteProtocol || route.Link != "" || i.destinations[route.Dst]) {
				out = append(out, route)
			}
		}
	}
	return out, nil
}

// linkNames are the links of interest by index. A link of no interest has no name here: its routes are foreign.
func (k *kernel) linkNames(i interest) (map[int]string, error) {
	out := map[int]string{}
	for name := range i.links {
		l, err := k.nl.LinkByName(name)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("link %s: %w", name, err)
		}
		out[l.Attrs().Index] = name
	}
	return out, nil
}

// linkName finds the link of a route of ours that lies where it should not.
func (k *kernel) linkName(index int) string {
	l, err := k.nl.LinkByIndex(index)
	if err != nil {
		return "" // gone, and the route with it
	}
	return l.Attrs().Name
}

// routeOf leaves out what is not unicast and IPv6's link-local prefix, which belongs to its link.
func routeOf(r netlink.Route, family int) (Route, bool) {
	out := Route{Metric: r.Priority, Protocol: int(r.Protocol), OnLink: r.Flags&unix.RTNH_F_ONLINK != 0, MTU: r.MTU}
	switch {
	case r.Dst != nil:
		out.Dst = prefixOf(r.Dst)
	case family == unix.AF_INET:
		out.Dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	default:
		out.Dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	out.Gateway, out.Src = addrFrom(r.Gw), addrFrom(r.Src)
	dst := out.Dst.Addr()
	return out, r.Type == unix.RTN_UNICAST && !dst.IsLinkLocalUnicast() && !dst.IsMulticast()
}

func prefixOf(n *net.IPNet) netip.Prefix {
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(addrFrom(n.IP), ones)
}

func addrFrom(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

func isNotFound(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound)
}
