package port

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/heddle-net/heddle/cni/api"
)

// netNS is an open network namespace of a Pod.
type netNS struct {
	path string
	file *os.File
}

// openNetNS opens the namespace at a path. It must be a network namespace and not the node's.
func (m *Manager) openNetNS(path string) (*netNS, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, api.Errorf(api.CodeNetNS, "netns %s: %v", path, errors.Unwrap(err))
	}
	if kind, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWNET {
		f.Close()
		return nil, api.Errorf(api.CodeNetNS, "netns %s: not a network namespace", path)
	}
	if its, err := f.Stat(); err != nil || os.SameFile(m.home, its) {
		f.Close()
		return nil, api.Errorf(api.CodeNetNS, "netns %s: this is the node's own", path)
	}
	return &netNS{path: path, file: f}, nil
}

func (n *netNS) close() { n.file.Close() }

// do runs f on a thread that is in the namespace. When the thread cannot go back it ends with its goroutine.
func (n *netNS) do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			runtime.UnlockOSThread()
			return
		}
		defer home.Close()
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter netns %s: %w", n.path, err)
			runtime.UnlockOSThread()
			return
		}
		err = f()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// netlink opens a route socket that stays in the namespace: its users need no thread there.
func (n *netNS) netlink() (*netlink.Handle, error) {
	var h *netlink.Handle
	err := n.do(func() (err error) {
		h, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open netlink in netns %s: %w", n.path, err)
	}
	return h, nil
}
