package port

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/heddle-net/heddle/cni/api"
	"github.com/heddle-net/heddle/daemon/shape"
)

// createVeth makes both ends of the pair with one request: the Pod's end is born in its namespace with its final
// name, MAC and MTU, and the node's end is up. It returns the MAC of the node's end.
func (m *Manager) createVeth(a *attachment, pod *netNS) (mac string, err error) {
	veth := netlink.NewVeth(netlink.LinkAttrs{Name: a.host, MTU: a.mtu, Flags: net.FlagUp, TxQLen: -1})
	veth.PeerName, veth.PeerHardwareAddr = a.IfName, a.mac
	veth.PeerNamespace = netlink.NsFd(int(pod.file.Fd()))
	if err := netlink.LinkAdd(veth); err != nil {
		if errors.Is(err, unix.EEXIST) {
			return "", api.Errorf(api.CodeInternal, "make veth %s: %s or %s in %s exists already: the container was added before", a.host, a.host, a.IfName, a.NetNS)
		}
		return "", fmt.Errorf("make veth %s with MTU %d: %w", a.host, a.mtu, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, deleteLink(a.host))
		}
	}()
	if err := m.prepareHostEnd(a.host); err != nil {
		return "", err
	}
	link, err := netlink.LinkByName(a.host)
	if err != nil {
		return "", fmt.Errorf("read back veth %s: %w", a.host, err)
	}
	if err := shape.Set(&netlink.Handle{}, link, shape.Queue{}, a.shape.Ingress); err != nil {
		return "", err
	}
	return link.Attrs().HardwareAddr.String(), nil
}

// prepareHostEnd keeps the node's own IPv6 (router solicitations, multicast reports) off the link to the Pod.
func (m *Manager) prepareHostEnd(host string) error {
	if err := setSysctl("net/ipv6/conf/"+host+"/disable_ipv6", "1"); err != nil {
		return err
	}
	if m.cfg.SoftwareChecksums {
		return transmitChecksumsOff(host)
	}
	return nil
}

// configure gives the Pod's end its settings, addresses and routes.
func (m *Manager) configure(a *attachment, pod *netNS) error {
	var h *netlink.Handle
	err := pod.do(func() (err error) {
		if err := m.preparePodEnd(a); err != nil {
			return err
		}
		h, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return fmt.Errorf("configure %s in %s: %w", a.IfName, a.NetNS, err)
	}
	defer h.Close()
	if err := address(h, a); err != nil {
		return fmt.Errorf("configure %s in %s: %w", a.IfName, a.NetNS, err)
	}
	return nil
}

// preparePodEnd runs in the Pod's namespace.
func (m *Manager) preparePodEnd(a *attachment) error {
	for _, ip := range a.ips {
		if ip.Address.Addr().Is6() {
			if err := allowIPv6(a.IfName); err != nil {
				return err
			}
		}
	}
	if m.cfg.SoftwareChecksums {
		return transmitChecksumsOff(a.IfName)
	}
	return nil
}

// address shapes what the Pod sends, brings its end up and adds the addresses, then the routes: a gateway must be reachable before it is named.
func address(h *netlink.Handle, a *attachment) error {
	link, err := h.LinkByName(a.IfName)
	if err != nil {
		return err
	}
	if err := shape.Set(h, link, shape.Queue{}, a.shape.Egress); err != nil {
		return err
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	for _, ip := range a.ips {
		addr := &netlink.Addr{IPNet: ipNet(ip.Address)}
		if ip.Address.Addr().Is6() {
			// OVN gives an address out once, so duplicate address detection would only hold the Pod up for a second (RFC 4862, section 5.4).
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := h.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("add address %s: %w", ip.Address, err)
		}
	}
	for _, r := range a.routes {
		if err := h.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(r.Dst), Gw: r.GW.AsSlice()}); err != nil {
			return fmt.Errorf("add route %s via %s: %w", r.Dst, r.GW, err)
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// deleteLink removes the veth by its end on the node; its other end goes with it. Absent is fine.
func deleteLink(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !absent(err) {
		return fmt.Errorf("delete veth %s: %w", name, err)
	}
	return nil
}

func linkExists(name string) bool {
	_, err := netlink.LinkByName(name)
	return !absent(err)
}

// absent covers a link that was not found, and one that went between finding and deleting it.
func absent(err error) bool {
	return errors.As(err, &netlink.LinkNotFoundError{}) || errors.Is(err, unix.ENODEV)
}
