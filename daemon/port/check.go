package port

import (
	"context"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/heddle-net/heddle/cni/api"
)

// Check says what differs from what the ADD of this container made, as its result (prevResult) tells it.
func (m *Manager) Check(ctx context.Context, r *api.Request) error {
	unlock, err := m.lockContainer(ctx, r)
	if err != nil {
		return err
	}
	defer unlock()
	if r.Prev == nil {
		return api.Errorf(api.CodeConfig, "CHECK without prevResult")
	}
	if err := m.checkPort(ctx, r); err != nil {
		return err
	}
	pod, err := m.openNetNS(r.NetNS)
	if err != nil {
		return err
	}
	defer pod.close()
	h, err := pod.netlink()
	if err != nil {
		return err
	}
	defer h.Close()
	return checkInterface(h, r)
}

func broken(format string, args ...any) error {
	return api.Errorf(api.CodeCheck, format, args...)
}

func (m *Manager) checkPort(ctx context.Context, r *api.Request) error {
	ifaces, err := m.ports(ctx, of(r.ContainerID, r.IfName))
	if err != nil {
		return err
	}
	if len(ifaces) == 0 {
		return broken("container %s has no port in OVS", r.ContainerID)
	}
	i := ifaces[0]
	bridge, err := m.cfg.OVS.BridgeOf(ctx, i.Name)
	switch {
	case err != nil:
		return again("%v", err)
	case bridge != m.cfg.Bridge:
		return broken("port %s is on bridge %q, not on %s", i.Name, bridge, m.cfg.Bridge)
	case i.Error != nil:
		return broken("port %s: ovs-vswitchd: %s", i.Name, *i.Error)
	case !i.Installed():
		return broken("port %s: ovn-controller has not installed it", i.Name)
	}
	return nil
}

func checkInterface(h *netlink.Handle, r *api.Request) error {
	link, err := h.LinkByName(r.IfName)
	if err != nil {
		return broken("no interface %s in %s: %v", r.IfName, r.NetNS, err)
	}
	if got := link.Attrs().HardwareAddr.String(); r.Prev.MAC != "" && got != r.Prev.MAC {
		return broken("%s has MAC %s, not %s", r.IfName, got, r.Prev.MAC)
	}
	if link.Attrs().OperState == netlink.OperDown || link.Attrs().RawFlags&1 == 0 {
		return broken("%s is down", r.IfName)
	}
	if err := checkAddresses(h, link, r); err != nil {
		return err
	}
	return checkRoutes(h, link, r)
}

func checkAddresses(h *netlink.Handle, link netlink.Link, r *api.Request) error {
	have, err := h.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list the addresses of %s: %w", r.IfName, err)
	}
	for _, ip := range r.Prev.IPs {
		want := ip.Address.String()
		if !slices.ContainsFunc(have, func(a netlink.Addr) bool { return a.IPNet.String() == want }) {
			return broken("%s has no address %s", r.IfName, want)
		}
	}
	return nil
}

func checkRoutes(h *netlink.Handle, link netlink.Link, r *api.Request) error {
	have, err := h.RouteList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list the routes of %s: %w", r.IfName, err)
	}
	for _, want := range r.Prev.Routes {
		dst := ipNet(want.Dst).String()
		if !slices.ContainsFunc(have, func(r netlink.Route) bool {
			return r.Dst != nil && r.Dst.String() == dst && (!want.GW.IsValid() || r.Gw.Equal(want.GW.AsSlice()))
		}) {
			return broken("%s has no route to %s via %s", r.IfName, want.Dst, want.GW)
		}
	}
	return nil
}
