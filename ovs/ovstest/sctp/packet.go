package sctp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Chunk types and sizes of RFC 9260, 3.2 and 3.3.2.
const (
	chunkInit, chunkInitAck = 1, 2
	parameterCookie         = 7 // of an INIT ACK, for what its sender likes

	headerSize, initSize, parameterSize = 12, 20, 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// packet is a packet of one chunk.
type packet struct {
	from, to uint16
	chunk    byte
	tag      uint32 // verification tag: 0 of an INIT, then the initiate tag of the peer
	initiate uint32 // initiate tag: what the peer's packets must have as their verification tag
	cookie   string
}

// marshal gives it a right checksum, which is little-endian here because CRC32c reflects bits (RFC 9260, appendix A).
func (p packet) marshal() []byte {
	size := initSize
	if p.cookie != "" {
		size += parameterSize + len(p.cookie)
	}
	b := make([]byte, headerSize, headerSize+size+3)
	binary.BigEndian.PutUint16(b[0:], p.from)
	binary.BigEndian.PutUint16(b[2:], p.to)
	binary.BigEndian.PutUint32(b[4:], p.tag)
	b = append(b, p.chunk, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	b = binary.BigEndian.AppendUint32(b, p.initiate)
	b = binary.BigEndian.AppendUint32(b, 65536) // advertised receiver window
	b = binary.BigEndian.AppendUint16(b, 1)     // outbound streams
	b = binary.BigEndian.AppendUint16(b, 1)     // inbound streams
	b = binary.BigEndian.AppendUint32(b, 1)     // initial TSN
	if p.cookie != "" {
		b = binary.BigEndian.AppendUint16(b, parameterCookie)
		b = binary.BigEndian.AppendUint16(b, uint16(parameterSize+len(p.cookie)))
		b = append(b, p.cookie...)
	}
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, castagnoli))
	return b
}

var errShort = errors.New("too short")

// parse reads an INIT or INIT ACK and verifies its checksum.
func parse(b []byte) (p packet, err error) {
	if len(b) < headerSize+initSize {
		return p, errShort
	}
	b = append([]byte(nil), b...)
	sum := binary.LittleEndian.Uint32(b[8:])
	clear(b[8:12])
	if right := crc32.Checksum(b, castagnoli); sum != right {
		return p, fmt.Errorf("checksum %08x, want %08x", sum, right)
	}
	p = packet{
		from: binary.BigEndian.Uint16(b[0:]), to: binary.BigEndian.Uint16(b[2:]), tag: binary.BigEndian.Uint32(b[4:]),
		chunk: b[headerSize], initiate: binary.BigEndian.Uint32(b[headerSize+4:]),
	}
	if rest := b[headerSize+initSize:]; len(rest) >= parameterSize && binary.BigEndian.Uint16(rest) == parameterCookie {
		size := int(binary.BigEndian.Uint16(rest[2:]))
		if size < parameterSize || size > len(rest) {
			return p, errShort
		}
		p.cookie = string(rest[parameterSize:size])
	}
	return p, nil
}
