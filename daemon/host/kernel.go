package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/knftables"
)

// kernel reads and writes what a node has. It belongs to one goroutine; its sockets are of the network namespace in which
// it was opened.
type kernel struct {
	nl  *netlink.Handle
	ovs OVS

	nft map[string]knftables.Interface // by family; made when something is first written

	// What was read last of nftables; tables nil = read again.
	tables  map[string]Table
	barring []barrier

	flows flows
}

func openKernel(ovs OVS) (*kernel, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	return &kernel{nl: h, ovs: ovs, nft: map[string]knftables.Interface{}}, nil
}

func (k *kernel) close() { k.nl.Close() }

// apply runs the lanes of a plan. A lane ends at its first failure, since its operations build on each other.
func (k *kernel) apply(ctx context.Context, p Plan) error {
	var errs []error
	for _, lane := range p.Lanes {
		for _, op := range lane {
			if err := op.apply(ctx, k); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", op, err))
				break
			}
		}
	}
	return errors.Join(errs...)
}

func (o ensureBridge) apply(ctx context.Context, k *kernel) error {
	return k.ovs.EnsureBridge(ctx, o.Bridge)
}

func (o ensurePort) apply(ctx context.Context, k *kernel) error { return k.ovs.EnsurePort(ctx, o.Port) }

func (o deleteBridge) apply(ctx context.Context, k *kernel) error {
	return k.ovs.DeleteBridge(ctx, o.Name)
}

func (o deletePort) apply(ctx context.Context, k *kernel) error {
	return k.ovs.DeletePort(ctx, o.Name)
}

func (o setSysctl) apply(context.Context, *kernel) error {
	return os.WriteFile(sysctlPath(o.Key), []byte(o.Value), 0o644)
}

func (o setMAC) apply(_ context.Context, k *kernel) error {
	mac, err := net.ParseMAC(o.MAC)
	if err != nil {
		return err
	}
	return k.onLink(o.Link, func(l netlink.Link) error { return k.nl.LinkSetHardwareAddr(l, mac) })
}

func (o setMTU) apply(_ context.Context, k *kernel) error {
	return k.onLink(o.Link, func(l netlink.Link) error { return k.nl.LinkSetMTU(l, o.MTU) })
}

func (o setUp) apply(_ context.Context, k *kernel) error { return k.onLink(o.Link, k.nl.LinkSetUp) }

func (o setOffload) apply(context.Context, *kernel) error {
	return writeOffload(o.Link, o.Feature, o.Value)
}

func (o addAddr) apply(_ context.Context, k *kernel) error {
	a := &netlink.Addr{IPNet: ipNet(o.Addr.Prefix)}
	if !o.Addr.PrefixRoute {
		a.Flags |= unix.IFA_F_NOPREFIXROUTE
	}
	if o.Addr.Prefix.Addr().Is6() {
		a.Flags |= unix.IFA_F_NODAD
	}
	return k.onLink(o.Addr.Link, func(l netlink.Link) error { return except(k.nl.AddrAdd(l, a), unix.EEXIST) })
}

func (o delAddr) apply(_ context.Context, k *kernel) error {
	a := &netlink.Addr{IPNet: ipNet(o.Addr.Prefix)}
	return k.onLink(o.Addr.Link, func(l netlink.Link) error { return except(k.nl.AddrDel(l, a), unix.EADDRNOTAVAIL) })
}

func (o addRoute) apply(_ context.Context, k *kernel) error {
	return k.onRoute(o.Route, func(r *netlink.Route) error { return except(k.nl.RouteAdd(r), unix.EEXIST) })
}

func (o replaceRoute) apply(_ context.Context, k *kernel) error {
	return k.onRoute(o.Route, k.nl.RouteReplace)
}

func (o delRoute) apply(_ context.Context, k *kernel) error {
	return k.onRoute(o.Route, func(r *netlink.Route) error { return except(k.nl.RouteDel(r), unix.ESRCH) })
}

func (k *kernel) onLink(name string, do func(netlink.Link) error) error {
	l, err := k.nl.LinkByName(name)
	if err != nil {
		return err
	}
	return do(l)
}

func (k *kernel) onRoute(r Route, do func(*netlink.Route) error) error {
	return k.onLink(r.Link, func(l netlink.Link) error {
		out := &netlink.Route{
			LinkIndex: l.Attrs().Index, Dst: ipNet(r.Dst), Gw: ip(r.Gateway), Src: ip(r.Src),
			Priority: r.Metric, Protocol: netlink.RouteProtocol(r.Protocol), MTU: r.MTU,
		}
		if r.OnLink {
			out.SetFlag(netlink.FLAG_ONLINK)
		}
		// IPv4 wants the scope that "ip route" would write; IPv6 has none.
		if r.Dst.Addr().Is4() && !r.Gateway.IsValid() {
			out.Scope = netlink.SCOPE_LINK
		}
		return do(out)
	})
}

// except takes the errors that mean "it is so already" for success: the event that tells us may still be under way.
func except(err error, is unix.Errno) error {
	if errors.Is(err, is) {
		return nil
	}
	return err
}

func sysctlPath(key string) string { return filepath.Join("/proc/sys", key) }

func readSysctl(key string) (string, bool) {
	b, err := os.ReadFile(sysctlPath(key))
	return strings.TrimSpace(string(b)), err == nil
}

func ip(a netip.Addr) net.IP {
	if !a.IsValid() {
		return nil
	}
	return a.AsSlice()
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
