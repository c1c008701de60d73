package announce

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/heddle-net/heddle/daemon/host"
)

// links reads and writes the addresses of the node's links.
type links struct{ nl *netlink.Handle }

func openLinks() (links, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return links{}, fmt.Errorf("netlink: %w", err)
	}
	return links{h}, nil
}

// place is where an address is, or belongs.
type place struct {
	link int
	addr netip.Addr
}

// state is what the links have.
type state struct {
	ours map[place]bool
	// early are those of ours that the kernel lists before an address of the node on the same link: it would be taken for the
	// node's own by who looks for the first one, and by the kernel as a source.
	early map[place]bool
	links map[netip.Addr]int // of all other addresses
}

// read tells what is there.
func (l links) read() (state, error) {
	s := state{map[place]bool{}, map[place]bool{}, map[netip.Addr]int{}}
	list, err := l.nl.AddrList(nil, unix.AF_UNSPEC)
	if err != nil {
		return s, fmt.Errorf("addresses: %w", err)
	}
	for _, a := range list {
		addr, ok := netip.AddrFromSlice(a.IP)
		addr = addr.Unmap()
		switch {
		case !ok || addr.IsLinkLocalUnicast():
		case host.Announced(a):
			s.ours[place{a.LinkIndex, addr}] = true
		default:
			s.links[addr] = a.LinkIndex
			s.precede(a.LinkIndex, addr)
		}
	}
	return s, nil
}

// precede marks what came before an IPv4 address of the node. Of IPv6 the kernel lists the newest first, always, and does not take a
// deprecated one as a source.
func (s state) precede(link int, addr netip.Addr) {
	for p := range s.ours {
		if p.link == link && p.addr.Is4() && addr.Is4() {
			s.early[p] = true
		}
	}
}

// put gives the link the address for so long, in whole seconds.
func (l links) put(p place, life time.Duration) error {
	a := address(p)
	a.Flags = unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_NODAD
	if p.addr.Is4() {
		a.Flags = unix.IFA_F_NOPREFIXROUTE
	}
	a.ValidLft = int(life / time.Second)
	if err := l.nl.AddrReplace(nil, a); err != nil {
		return fmt.Errorf("address %s: %w", p.addr, err)
	}
	return nil
}

// remove takes it away; it may have ended meanwhile, or its link be gone.
func (l links) remove(p place) error {
	err := l.nl.AddrDel(nil, address(p))
	if err == nil || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return fmt.Errorf("address %s: %w", p.addr, err)
}

func (l links) announce(p place) error {
	link, err := l.nl.LinkByIndex(p.link)
	if err != nil {
		return fmt.Errorf("announce %s: %w", p.addr, err)
	}
	return notify(p.link, link.Attrs().HardwareAddr, p.addr)
}

func address(p place) *netlink.Addr {
	bits := p.addr.BitLen()
	return &netlink.Addr{IPNet: &net.IPNet{IP: p.addr.AsSlice(), Mask: net.CIDRMask(bits, bits)}, LinkIndex: p.link}
}
