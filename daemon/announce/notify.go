package announce

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// notify tells the network which link has an address now: by an ARP announcement (RFC 5227, 2.3) and the same as a reply, which some
// devices heed alone, or by an unsolicited neighbour advertisement (RFC 4861, 7.2.6).
func notify(link int, mac net.HardwareAddr, addr netip.Addr) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // protocol 0: it receives nothing
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	defer unix.Close(fd)
	for _, frame := range frames(mac, addr) {
		if err := unix.Sendto(fd, frame, unix.MSG_DONTWAIT, &unix.SockaddrLinklayer{Ifindex: link}); err != nil {
			return fmt.Errorf("announce %s: %w", addr, err)
		}
	}
	return nil
}

func frames(mac net.HardwareAddr, addr netip.Addr) [][]byte {
	if addr.Is4() {
		return [][]byte{arp(mac, addr, arpRequest), arp(mac, addr, arpReply)}
	}
	return [][]byte{advertisement(mac, addr)}
}

// Operations of RFC 826.
const (
	arpRequest = 1
	arpReply   = 2
)

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func ethernet(to, from net.HardwareAddr, kind uint16) []byte {
	frame := append(append([]byte{}, to...), from...)
	return binary.BigEndian.AppendUint16(frame, kind)
}

// arp says that the address is at the MAC, to everybody.
func arp(mac net.HardwareAddr, addr netip.Addr, operation uint16) []byte {
	frame := ethernet(broadcast, mac, unix.ETH_P_ARP)
	frame = append(frame, 0, 1, 8, 0, 6, 4) // Ethernet, IPv4, their lengths
	frame = binary.BigEndian.AppendUint16(frame, operation)
	frame = append(append(frame, mac...), addr.AsSlice()...)
	target := broadcast
	if operation == arpRequest {
		target = make(net.HardwareAddr, 6)
	}
	return append(append(frame, target...), addr.AsSlice()...)
}

// advertisement says the same of an IPv6 address. Router, because nodes forward; Override, because it replaces what neighbours know.
func advertisement(mac net.HardwareAddr, addr netip.Addr) []byte {
	allNodes := netip.MustParseAddr("ff02::1").As16()
	source := addr.As16()
	const router, override, targetLinkLayer = 0x80, 0x20, 2
	body := append([]byte{136, 0, 0, 0, router | override, 0, 0, 0}, source[:]...)
	body = append(append(body, targetLinkLayer, 1), mac...)

	pseudo := append(append([]byte{}, source[:]...), allNodes[:]...) // RFC 8200, 8.1
	pseudo = append(pseudo, 0, 0, 0, byte(len(body)), 0, 0, 0, unix.IPPROTO_ICMPV6)
	binary.BigEndian.PutUint16(body[2:], checksum(append(pseudo, body...)))

	frame := ethernet(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, mac, unix.ETH_P_IPV6)
	frame = append(frame, 0x60, 0, 0, 0, 0, byte(len(body)), unix.IPPROTO_ICMPV6, 255)
	frame = append(append(frame, source[:]...), allNodes[:]...)
	return append(frame, body...)
}

// checksum of the internet (RFC 1071); the length is even.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
