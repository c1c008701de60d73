package dns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The links of the pair: answers are redirected to the first and read from the second.
const (
	pairTo   = "heddle-dns0"
	pairFrom = "heddle-dns1"
)

const (
	largest = 65535       // of a packet, and of a veth's MTU
	virtio  = 10          // octets of struct virtio_net_hdr of linux/virtio_net.h, before each frame
	backlog = 4 << 20     // octets of frames that wait to be read
	room    = 2 * largest // for a frame
)

// pair is the veth pair, with a socket that reads from it and one that sends to Pods.
type pair struct {
	to   int // index of the link to redirect to
	in   *os.File
	raw  syscall.RawConn
	out  int    // descriptor; it is not read, so it needs no poller
	mark uint32 // of what we send

	buffer  []byte
	control []byte
}

// frame is one that was going out of a link. Its data, with virtio_net_hdr, are valid until the next is read.
type frame struct {
	link int
	data []byte
}

func newPair() (*pair, error) {
	p := &pair{out: -1, mark: rand.Uint32() | 1, buffer: make([]byte, room), control: make([]byte, unix.CmsgSpace(4))}
	err := p.addLinks()
	if err == nil {
		err = p.openIn()
	}
	if err == nil {
		err = p.openOut()
	}
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// addLinks makes the veth pair; one that is there was left by a process that was killed.
func (p *pair) addLinks() error {
	if err := Teardown(); err != nil {
		return err
	}
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: pairTo, MTU: largest, TxQLen: -1}, PeerName: pairFrom}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("add link %s: %w", pairTo, err)
	}
	for _, name := range []string{pairTo, pairFrom} {
		if err := setUp(name); err != nil {
			return fmt.Errorf("set up link %s: %w", name, err)
		}
	}
	var err error
	p.to, err = indexOf(pairTo)
	return err
}

// setUp gives the link no address of its own first, if there is IPv6.
func setUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	const none = 1 // IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
	if err := netlink.LinkSetIP6AddrGenMode(link, none); err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
		return err
	}
	return netlink.LinkSetUp(link)
}

// Teardown removes the links that a process left which was killed. None is fine.
func Teardown() error {
	link, err := netlink.LinkByName(pairTo)
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err == nil || errors.As(err, &netlink.LinkNotFoundError{}) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return fmt.Errorf("delete link %s: %w", pairTo, err)
}

// openIn opens the socket that reads; it has no protocol, and so no frames, until it is bound to its link.
func (p *pair) openIn() error {
	fd, err := packetSocket()
	if err != nil {
		return err
	}
	p.in = os.NewFile(uintptr(fd), pairFrom)
	index, err := indexOf(pairFrom)
	if err == nil {
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, backlog),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVMARK, 1),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: index}))
	}
	if err == nil {
		p.raw, err = p.in.SyscallConn()
	}
	if err != nil {
		return fmt.Errorf("read from %s: %w", pairFrom, err)
	}
	return nil
}

func (p *pair) openOut() (err error) {
	if p.out, err = packetSocket(); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(p.out, unix.SOL_SOCKET, unix.SO_MARK, int(p.mark)); err != nil {
		return fmt.Errorf("mark packets: %w", err)
	}
	return nil
}

func packetSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("packet socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("packet socket: %w", err)
	}
	return fd, nil
}

// read waits for a frame. It ends with os.ErrDeadlineExceeded when in has a deadline.
func (p *pair) read() (f frame, err error) {
	if waitErr := p.raw.Read(func(fd uintptr) bool {
		f, err = p.receive(int(fd))
		return !errors.Is(err, unix.EAGAIN)
	}); waitErr != nil {
		return frame{}, waitErr
	}
	return f, err
}

// rest is a frame that is there already.
func (p *pair) rest() (f frame, err error) {
	if controlErr := p.raw.Control(func(fd uintptr) { f, err = p.receive(int(fd)) }); controlErr != nil {
		return frame{}, controlErr
	}
	return f, err
}

// receive has link 0 for a frame that is not one of a Pod, or not whole.
func (p *pair) receive(fd int) (frame, error) {
	n, control, flags, _, err := unix.Recvmsg(fd, p.buffer, p.control, 0)
	if err != nil || flags&unix.MSG_TRUNC != 0 || n < virtio+ethernet {
		return frame{}, err
	}
	return frame{link: int(markOf(p.control[:control])), data: p.buffer[:n]}, nil
}

func markOf(control []byte) uint32 {
	h, data, _, err := unix.ParseOneSocketControlMessage(control)
	if err != nil || h.Level != unix.SOL_SOCKET || h.Type != unix.SO_MARK || len(data) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(data)
}

// send lets a frame go on. That its Pod is gone, or takes no more, is as if it had been lost behind us.
func (p *pair) send(f frame) {
	to := &unix.SockaddrLinklayer{Protocol: bigEndian(binary.BigEndian.Uint16(f.data[virtio+12:])), Ifindex: f.link}
	_ = unix.Sendto(p.out, f.data, unix.MSG_DONTWAIT, to)
}

// close leaves nothing.
func (p *pair) close() error {
	if p.in != nil {
		_ = p.in.Close()
	}
	if p.out >= 0 {
		_ = unix.Close(p.out)
	}
	return Teardown()
}

func bigEndian(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}
