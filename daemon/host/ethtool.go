package host

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// offload is a feature of a link that ethtool(8) names so.
type offload string

const (
	offloadTxCsum offload = "tx-checksum"
	offloadGRO    offload = "gro"
)

// offloadCommands are the commands of linux/ethtool.h that read and write a feature as one 32-bit value.
var offloadCommands = map[offload]struct{ get, set uint32 }{
	offloadTxCsum: {unix.ETHTOOL_GTXCSUM, unix.ETHTOOL_STXCSUM},
	offloadGRO:    {unix.ETHTOOL_GGRO, unix.ETHTOOL_SGRO},
}

// ethtoolValue is struct ethtool_value, ethtoolRequest struct ifreq with a pointer in it (netdevice(7)).
type ethtoolValue struct{ cmd, data uint32 }

type ethtoolRequest struct {
	name [unix.IFNAMSIZ]byte
	data *ethtoolValue
	_    [16]byte
}

func readOffload(link string, f offload) (string, error) {
	v := ethtoolValue{cmd: offloadCommands[f].get}
	if err := ethtool(link, &v); err != nil {
		return "", err
	}
	if v.data != 0 {
		return "on", nil
	}
	return "off", nil
}

func writeOffload(link string, f offload, value string) error {
	v := ethtoolValue{cmd: offloadCommands[f].set}
	if value == "on" {
		v.data = 1
	}
	return ethtool(link, &v)
}

func ethtool(link string, v *ethtoolValue) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("ethtool %s: %w", link, err)
	}
	defer unix.Close(fd)
	req := ethtoolRequest{data: v}
	copy(req.name[:unix.IFNAMSIZ-1], link)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req)))
	if errno != 0 {
		return fmt.Errorf("ethtool %s: %w", link, errno)
	}
	return nil
}
