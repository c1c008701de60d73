package fabric

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ethtoolRequest is struct ifreq with a pointer to struct ethtool_value (netdevice(7), linux/ethtool.h).
type ethtoolRequest struct {
	name  [unix.IFNAMSIZ]byte
	value unsafe.Pointer
	_     [16]byte
}

type ethtoolValue struct{ command, data uint32 }

func netnsHandle(f *os.File) netns.NsHandle { return netns.NsHandle(int(f.Fd())) }

// checksumInSoftware does what `ethtool -K LINK tx off` does, in a network namespace.
func checksumInSoftware(path, link string) error {
	socket, err := socketIn(path)
	if err != nil {
		return fmt.Errorf("checksums of %s: %w", link, err)
	}
	defer unix.Close(socket)
	request := ethtoolRequest{value: unsafe.Pointer(&ethtoolValue{command: unix.ETHTOOL_STXCSUM})}
	copy(request.name[:unix.IFNAMSIZ-1], link)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(socket), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return fmt.Errorf("checksums of %s: %w", link, errno)
	}
	return nil
}

// socketIn opens a socket in a network namespace. The thread that went there ends with the goroutine,
// which does not unlock it.
func socketIn(path string) (socket int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		socket, err = enterAndOpen(path)
	}()
	<-done
	return socket, err
}

func enterAndOpen(path string) (int, error) {
	namespace, err := netns.GetFromPath(path)
	if err != nil {
		return -1, err
	}
	defer namespace.Close()
	if err := netns.Set(namespace); err != nil {
		return -1, err
	}
	return unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
}
