package dns

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

// octets are hexadecimal digits; what is between is for the reader.
func octets(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

var (
	macs      = "020000000002 020000000001 "
	overIPv4  = macs + "0800 45000020 00004000 40110000 0a000001 0a00000a "
	overIPv6  = macs + "86dd 60000000 000c1140 fd000000000000000000000000000001 fd00000000000000000000000000000a "
	udp       = "0035c000 000c0000 68656c6c"
	tcpHeader = "0035c000 00000001 00000002 5018ffff 00000000 "
)

func TestMessage(t *testing.T) {
	for name, frame := range map[string]string{
		"UDP over IPv4":     overIPv4 + udp,
		"UDP over IPv6":     overIPv6 + udp,
		"padding after it":  overIPv4 + udp + "00000000",
		"options of IPv4":   macs + "0800 46000024 00000000 40110000 0a000001 0a00000a 01010101" + udp,
		"TCP over IPv4":     macs + "0800 4500002e 00000000 40060000 0a000001 0a00000a" + tcpHeader + "0004 68656c6c",
		"TCP over IPv6":     macs + "86dd 60000000 001a0640 fd000000000000000000000000000001 fd00000000000000000000000000000a" + tcpHeader + "0004 68656c6c",
		"options of TCP":    macs + "0800 45000032 00000000 40060000 0a000001 0a00000a 0035c000 00000001 00000002 6018ffff 00000000 01010101 0004 68656c6c",
		"may be fragmented": macs + "0800 45000020 00000000 40110000 0a000001 0a00000a" + udp,
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := message(octets(frame)); !ok || string(got) != "hell" {
				t.Errorf("%q %t", got, ok)
			}
		})
	}
}

func TestMessageRefuses(t *testing.T) {
	for name, frame := range map[string]string{
		"nothing":                   "",
		"no packet":                 macs + "0800",
		"ARP":                       macs + "0806 0001080006040001",
		"VLAN":                      macs + "8100 0001 0800 45000020 00004000 40110000 0a000001 0a00000a" + udp,
		"a first fragment":          macs + "0800 45000020 00002000 40110000 0a000001 0a00000a" + udp,
		"a later fragment":          macs + "0800 45000020 00000001 40110000 0a000001 0a00000a" + udp,
		"a fragment of IPv6":        macs + "86dd 60000000 00142c40 fd000000000000000000000000000001 fd00000000000000000000000000000a 1100000000000000" + udp,
		"another protocol":          macs + "0800 45000020 00004000 40840000 0a000001 0a00000a" + udp,
		"another port":              overIPv4 + "0036c000 000c0000 68656c6c",
		"a packet cut off":          overIPv4 + "0035c000 000c0000",
		"a packet of IPv6 cut off":  overIPv6 + "0035c000 000c0000",
		"a datagram that is longer": overIPv4 + "0035c000 000d0000 68656c6c",
		"a header that is too long": macs + "0800 4f000020 00004000 40110000 0a000001 0a00000a" + udp,
		"no header":                 macs + "0800 44000020 00004000 40110000 0a000001 0a00000a" + udp,
		"IPv6 as IPv4":              macs + "86dd 45000020 00004000 40110000 0a000001 0a00000a" + udp,
		"no payload of TCP":         macs + "0800 45000028 00000000 40060000 0a000001 0a00000a" + tcpHeader,
		"a part of a message":       macs + "0800 4500002e 00000000 40060000 0a000001 0a00000a" + tcpHeader + "0005 68656c6c",
		"more than a message":       macs + "0800 4500002e 00000000 40060000 0a000001 0a00000a" + tcpHeader + "0003 68656c6c",
		"a short header of TCP":     macs + "0800 4500002e 00000000 40060000 0a000001 0a00000a 0035c000 00000001 00000002 4018ffff 00000000 0004 68656c6c",
		"a long header of TCP":      macs + "0800 4500002e 00000000 40060000 0a000001 0a00000a 0035c000 00000001 00000002 f018ffff 00000000 0004 68656c6c",
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := message(octets(frame)); ok {
				t.Errorf("%q", got)
			}
		})
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(octets(overIPv4 + udp))
	f.Add(octets(overIPv6 + udp))
	f.Add(octets(macs + "0800 4500002e 00000000 40060000 0a000001 0a00000a" + tcpHeader + "0004 68656c6c"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		got, ok := message(frame)
		if ok && (!bytes.Contains(frame, got) || binary.BigEndian.Uint16(frame[12:])&0xff == 6) {
			t.Errorf("%x", got)
		}
	})
}
