package host

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

const (
	dataVerdict    = "verdict"
	fieldSeparator = " . "
)

// expressions are the types of a map with slots, which nft(8) only takes as expressions, since "integer" alone has no size. A rule
// that uses the map takes over the protocol of the value's port, so there is a map for each protocol; with "th dport", nft
// 1.0.6 and 1.1.3 cannot read the map back ("conflicting protocols specified: ip vs. th").
func (s Set) expressions() string {
	ip := "ip"
	if s.Type == typeSlotV6 {
		ip = "ip6"
	}
	return fmt.Sprintf("%[1]s daddr . meta l4proto . %[2]s dport . numgen random mod 2 : %[1]s daddr . %[2]s dport", ip, s.Ports)
}

// text is an element as nft would write it.
func (s Set) text(e nftables.SetElement) string {
	types := strings.Split(s.Type, fieldSeparator)
	if s.Data == dataVerdict {
		types = frontendTypes(len(e.Key))
	}
	fields := fieldsOf(types, e.Key)
	if s.Interval && len(e.KeyEnd) > 0 {
		last := fieldsOf(types, e.KeyEnd)
		fields[len(fields)-1] = span(fields[len(fields)-1], last[len(last)-1])
	}
	key := strings.Join(fields, fieldSeparator)
	switch s.Data {
	case "":
		return key
	case dataVerdict:
		return key + " : " + verdictOf(e.Val)
	}
	return key + " : " + strings.Join(fieldsOf(strings.Split(s.Data, fieldSeparator), e.Val), fieldSeparator)
}

// frontendTypes are the types of the key of all our maps to verdicts.
func frontendTypes(size int) []string {
	if size > 16 {
		return strings.Split(typeFrontendV6, fieldSeparator)
	}
	return strings.Split(typeFrontendV4, fieldSeparator)
}

// fieldsOf splits a key or value. In a concatenation each field fills whole registers of four octets.
func fieldsOf(types []string, raw []byte) []string {
	out := make([]string, 0, len(types))
	for _, t := range types {
		size := 4
		if t == "ipv6_addr" {
			size = 16
		}
		if len(raw) < size {
			return append(out, fmt.Sprintf("0x%x", raw)) // not ours
		}
		out = append(out, fieldOf(t, raw[:size]))
		raw = raw[size:]
	}
	return out
}

func fieldOf(t string, raw []byte) string {
	switch t {
	case "ipv4_addr", "ipv6_addr":
		return addrOf(raw).String()
	case "inet_proto":
		for name, number := range protocols {
			if number == raw[0] {
				return name
			}
		}
		return fmt.Sprint(raw[0])
	case "inet_service":
		return fmt.Sprint(binary.BigEndian.Uint16(raw))
	case "integer":
		return fmt.Sprint(binary.NativeEndian.Uint32(raw)) // as numgen leaves it in the register
	}
	return fmt.Sprintf("0x%x", raw)
}

// protocols are those that Services have, as the kernel numbers them.
var protocols = map[string]uint8{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP, "sctp": unix.IPPROTO_SCTP}

// span is the prefix from one address to another, both included.
func span(first, last string) string {
	from, err := netip.ParseAddr(first)
	if err != nil {
		return first + "-" + last
	}
	for bits := from.BitLen(); bits >= 0; bits-- {
		p := netip.PrefixFrom(from, bits)
		if p.Masked() == p && lastOf(p).String() == last {
			return p.String()
		}
	}
	return first + "-" + last
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return addrOf(b)
}

// verdictOf reads struct nft_verdict: NFTA_VERDICT_CODE and, of a jump, NFTA_VERDICT_CHAIN (linux/netfilter/nf_tables.h).
func verdictOf(raw []byte) string {
	code := attribute(raw, 0, unix.NFTA_VERDICT_CODE)
	if len(code) != 4 {
		return fmt.Sprintf("0x%x", raw)
	}
	switch n := int32(binary.BigEndian.Uint32([]byte(code))); n {
	case unix.NFT_GOTO:
		return "goto " + strings.TrimSuffix(attribute(raw, 0, unix.NFTA_VERDICT_CHAIN), "\x00")
	case netfilterDrop:
		return verdictDrop
	default:
		return fmt.Sprint("verdict ", n)
	}
}

const netfilterDrop = 0 // NF_DROP
