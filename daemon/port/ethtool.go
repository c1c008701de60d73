package port

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolValue is struct ethtool_value of linux/ethtool.h.
type ethtoolValue struct {
	cmd  uint32
	data uint32
}

// ifreqData is struct ifreq of linux/if.h with its union used as a pointer.
type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [24 - unsafe.Sizeof(uintptr(0))]byte
}

// transmitChecksumsOff makes the kernel finish the checksum of every packet that leaves through the link, as `ethtool -K dev tx off` does.
// Segmentation offload depends on it and goes with it. It acts in the calling thread's network namespace.
func transmitChecksumsOff(dev string) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("switch tx checksum offload of %s off: %w", dev, err)
	}
	defer func() { _ = unix.Close(s) }()
	value := ethtoolValue{cmd: unix.ETHTOOL_STXCSUM}
	request := ifreqData{data: unsafe.Pointer(&value)}
	copy(request.name[:unix.IFNAMSIZ-1], dev)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(&value)
	if errno != 0 {
		return fmt.Errorf("switch tx checksum offload of %s off: %w", dev, errno)
	}
	return nil
}
