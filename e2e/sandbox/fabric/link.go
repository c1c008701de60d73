package fabric

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Uplink is the name of every machine's link, as the machine sees it.
const Uplink = "eth0"

// namespace is an open network namespace with a netlink socket in it.
type namespace struct {
	file *os.File
	*netlink.Handle
}

func openNamespace(path string) (*namespace, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	handle, err := netlink.NewHandleAt(netnsHandle(file), unix.NETLINK_ROUTE)
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("netlink in %s: %w", path, err)
	}
	return &namespace{file, handle}, nil
}

func (n *namespace) close() {
	n.Close()
	_ = n.file.Close()
}

// MakeRouter makes the bridges with the router's addresses, in the router's namespace.
func MakeRouter(netns string) error {
	router, err := openNamespace(netns)
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	defer router.close()
	for _, network := range []Network{Nodes, Outside} {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: network.Bridge, HardwareAddr: network.mac(RouterHost)}}
		if err := router.LinkAdd(bridge); err != nil {
			return fmt.Errorf("bridge %s: %w", network.Bridge, err)
		}
		if err := router.bringUp(bridge, network.Addresses(RouterHost)); err != nil {
			return fmt.Errorf("bridge %s: %w", network.Bridge, err)
		}
	}
	return nil
}

// Plug gives a machine its link into one of the router's networks, with addresses and default routes.
func Plug(routerNetns, netns, name string, network Network, host int) error {
	router, err := openNamespace(routerNetns)
	if err != nil {
		return fmt.Errorf("plug %s: %w", name, err)
	}
	defer router.close()
	machine, err := openNamespace(netns)
	if err != nil {
		return fmt.Errorf("plug %s: %w", name, err)
	}
	defer machine.close()
	if err := router.addPort(name, network, host, machine); err != nil {
		return fmt.Errorf("plug %s: port of %s: %w", name, network.Bridge, err)
	}
	if err := machine.configure(network, host); err != nil {
		return fmt.Errorf("plug %s: %s: %w", name, Uplink, err)
	}
	// A user-space datapath does not finish checksums that a sender left to the hardware, so no end leaves any.
	if err := checksumInSoftware(routerNetns, name); err != nil {
		return fmt.Errorf("plug %s: %w", name, err)
	}
	return checksumInSoftware(netns, Uplink)
}

func (n *namespace) addPort(name string, network Network, host int, peer *namespace) error {
	bridge, err := n.LinkByName(network.Bridge)
	if err != nil {
		return err
	}
	port := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: name, MasterIndex: bridge.Attrs().Index},
		PeerName:         Uplink,
		PeerHardwareAddr: network.mac(host),
		PeerNamespace:    netlink.NsFd(int(peer.file.Fd())),
	}
	if err := n.LinkAdd(port); err != nil {
		return err
	}
	return n.LinkSetUp(port)
}

func (n *namespace) configure(network Network, host int) error {
	link, err := n.LinkByName(Uplink)
	if err != nil {
		return err
	}
	if err := n.bringUp(link, network.Addresses(host)); err != nil {
		return err
	}
	for _, gateway := range network.Addresses(RouterHost) {
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.Addr().AsSlice()}
		if err := n.RouteAdd(route); err != nil {
			return fmt.Errorf("default route by %s: %w", gateway.Addr(), err)
		}
	}
	return nil
}

// bringUp sets addresses without duplicate address detection: nobody else chooses them, and it takes a second.
func (n *namespace) bringUp(link netlink.Link, addresses []netip.Prefix) error {
	for _, a := range addresses {
		address := &netlink.Addr{
			IPNet: &net.IPNet{IP: a.Addr().AsSlice(), Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen())},
			Flags: unix.IFA_F_NODAD,
		}
		if err := n.AddrAdd(link, address); err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
	}
	return n.LinkSetUp(link)
}
