package host

import (
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// What tells an address of a Service, which package announce keeps on the uplink, from the node's own: no other has all of these
// flags (linux/if_addr.h) and a full prefix.
const (
	announcedHas   = unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_DEPRECATED
	announcedLacks = unix.IFA_F_PERMANENT | unix.IFA_F_TEMPORARY
)

// Announced tells whether an address is one that this node answers for in the name of a Service, for a few seconds at a time. It is
// no part of the node's own network: it does not move with the uplink, and is not recorded.
func Announced(a netlink.Addr) bool {
	ones, bits := a.Mask.Size()
	return ones == bits && isAnnounced(a.Flags, bits)
}

// announced is the same of a message of NETLINK_ROUTE: struct ifaddrmsg with the attribute IFA_FLAGS.
func announced(data []byte) bool {
	if len(data) < unix.SizeofIfAddrmsg {
		return false
	}
	bits := 32
	if data[0] == unix.AF_INET6 {
		bits = 128
	}
	flags := word([]byte(attribute(data, unix.SizeofIfAddrmsg, unix.IFA_FLAGS)), 0)
	return int(data[1]) == bits && isAnnounced(int(flags), bits)
}

// isAnnounced leaves IFA_F_TEMPORARY to IPv6: for IPv4 the same bit means a secondary address (IFA_F_SECONDARY).
func isAnnounced(flags, bits int) bool {
	lacks := announcedLacks
	if bits == 32 {
		lacks = unix.IFA_F_PERMANENT
	}
	return flags&announcedHas == announcedHas && flags&lacks == 0
}
