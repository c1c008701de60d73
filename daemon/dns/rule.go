package dns

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The parts of rules. They use the first register.
const register = 1

func encode(list ...expr.Any) []netlink.Attribute {
	out := make([]netlink.Attribute, 0, len(list))
	for _, e := range list {
		b, err := expr.Marshal(family, e)
		if err != nil {
			panic(err) // all of them are made here
		}
		out = append(out, netlink.Attribute{Type: unix.NFTA_LIST_ELEM | netlink.Nested, Data: b})
	}
	return out
}

func is(key expr.MetaKey, value []byte) []netlink.Attribute {
	return encode(&expr.Meta{Key: key, Register: register}, &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: value})
}

// ours ends the chain for what we send.
func ours(mark uint32) []netlink.Attribute {
	return append(is(expr.MetaKeyMARK, binary.NativeEndian.AppendUint32(nil, mark)), encode(&expr.Verdict{Kind: expr.VerdictReturn})...)
}

func sourcePort() []netlink.Attribute {
	return encode(
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: binary.BigEndian.AppendUint16(nil, port)})
}

// from is for packets of a server.
func from(server netip.Addr) []netlink.Attribute {
	protocol, offset := uint16(unix.ETH_P_IP), uint32(12)
	if server = server.Unmap(); server.Is6() {
		protocol, offset = unix.ETH_P_IPV6, 8
	}
	return append(is(expr.MetaKeyPROTOCOL, binary.BigEndian.AppendUint16(nil, protocol)), encode(
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(server.BitLen() / 8)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: server.AsSlice()})...)
}

// redirect marks the packet with the index of the link that it is going out of, and sends it to another one.
func redirect(link int) []netlink.Attribute {
	list := encode(
		&expr.Meta{Key: expr.MetaKeyOIF, Register: register},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: register},
		&expr.Immediate{Register: register, Data: binary.NativeEndian.AppendUint32(nil, uint32(link))})
	device := netlink.Attribute{Type: unix.NFTA_FWD_SREG_DEV, Data: binary.BigEndian.AppendUint32(nil, register)}
	return append(list, nested(unix.NFTA_LIST_ELEM, text(unix.NFTA_EXPR_NAME, "fwd"), nested(unix.NFTA_EXPR_DATA, device)))
}
