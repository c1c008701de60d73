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

// socketIn opens a socket in a network namespace. The thread comes back from there: it may be the main thread, which
// would stay in the namespace, and hold it, for as long as the process lives.
func socketIn(path string) (int, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	if err != nil {
		return -1, err
	}
	defer home.Close()
	socket, err := enterAndOpen(path)
	if back := netns.Set(home); back != nil {
		// Unlocked, the thread would run other goroutines in the wrong namespace.
		panic(fmt.Sprintf("cannot leave network namespace %s: %v", path, back))
	}
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
