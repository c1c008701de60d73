package dns

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

const (
	ethernet = 14 // octets of the header, without VLAN
	port     = 53
)

// message is the DNS message that an Ethernet frame has all of: in a UDP datagram, or in a TCP segment that has nothing else.
func message(frame []byte) ([]byte, bool) {
	transport, protocol, _ := network(frame)
	if len(transport) < 2 || binary.BigEndian.Uint16(transport) != port {
		return nil, false
	}
	switch protocol {
	case unix.IPPROTO_UDP:
		return datagram(transport)
	case unix.IPPROTO_TCP:
		data := segment(transport)
		// In TCP a message has its length before it (RFC 1035, section 4.2.2).
		if len(data) < 2 || int(binary.BigEndian.Uint16(data)) != len(data)-2 {
			return nil, false
		}
		return data[2:], true
	}
	return nil, false
}

// stream tells TCP connections apart; it is empty for a frame without data of one.
func stream(frame []byte) string {
	transport, protocol, addresses := network(frame)
	if protocol != unix.IPPROTO_TCP || len(segment(transport)) == 0 {
		return ""
	}
	return string(addresses) + string(transport[:4])
}

// network is what is in a packet, its protocol, and the addresses.
func network(frame []byte) (transport []byte, protocol byte, addresses []byte) {
	if len(frame) < ethernet {
		return nil, 0, nil
	}
	switch packet := frame[ethernet:]; binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		return ipv4(packet)
	case unix.ETH_P_IPV6:
		return ipv6(packet)
	}
	return nil, 0, nil
}

// ipv4 is what a packet that is no fragment has after its header (RFC 791).
func ipv4(b []byte) ([]byte, byte, []byte) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return nil, 0, nil
	}
	header, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	const moreOrOffset = 0x3fff
	if header < 20 || total < header || total > len(b) || binary.BigEndian.Uint16(b[6:])&moreOrOffset != 0 {
		return nil, 0, nil
	}
	return b[header:total], b[9], b[12:20]
}

// ipv6 is what a packet has after its header (RFC 8200); with extension headers, among them the one of fragments, it is neither UDP nor TCP.
func ipv6(b []byte) ([]byte, byte, []byte) {
	if len(b) < 40 || b[0]>>4 != 6 {
		return nil, 0, nil
	}
	total := 40 + int(binary.BigEndian.Uint16(b[4:]))
	if total > len(b) {
		return nil, 0, nil
	}
	return b[40:total], b[6], b[8:40]
}

func datagram(b []byte) ([]byte, bool) {
	if len(b) < 8 || int(binary.BigEndian.Uint16(b[4:])) != len(b) {
		return nil, false
	}
	return b[8:], true
}

// segment is the data of a TCP segment (RFC 9293).
func segment(b []byte) []byte {
	if len(b) < 20 {
		return nil
	}
	header := int(b[12]>>4) * 4
	if header < 20 || len(b) < header {
		return nil
	}
	return b[header:]
}
