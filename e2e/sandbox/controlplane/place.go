package controlplane

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// heldPort is a TCP port of 127.0.0.1 that is bound, with SO_REUSEPORT and without listening, so
// that nothing else gets it while kube-apiserver starts or restarts (socket(7)).
type heldPort struct {
	fd     int
	number uint16
}

func holdPort() (*heldPort, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("hold a port: %w", err)
	}
	h := &heldPort{fd: fd}
	if err := h.bind(); err != nil {
		_ = h.release()
		return nil, fmt.Errorf("hold a port: %w", err)
	}
	return h, nil
}

func (h *heldPort) bind() error {
	if err := unix.SetsockoptInt(h.fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return err
	}
	if err := unix.Bind(h.fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	address, err := unix.Getsockname(h.fd)
	if err != nil {
		return err
	}
	h.number = uint16(address.(*unix.SockaddrInet4).Port)
	return nil
}

func (h *heldPort) release() error {
	if h == nil {
		return nil
	}
	return unix.Close(h.fd)
}

// scratch is a temporary folder with a locked file in it. The kernel drops the lock when the
// owner dies, which is how the next one knows that the folder is nobody's.
type scratch struct {
	dir  string
	lock *os.File
}

const scratchPattern = "heddle-controlplane-"

func newScratch() (*scratch, error) {
	if err := sweepScratch(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", scratchPattern+"*")
	if err != nil {
		return nil, err
	}
	s := &scratch{dir: dir}
	if s.lock, err = lockScratch(dir); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return s, nil
}

// sweepScratch removes the folders that killed processes left. A folder without a lock file is
// just being made.
func sweepScratch() error {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), scratchPattern+"*", "lock"))
	if err != nil {
		return err
	}
	for _, path := range left {
		dir := filepath.Dir(path)
		if lock, err := lockScratch(dir); err == nil {
			_ = os.RemoveAll(dir) // what stays is tried again by the next one
			_ = lock.Close()
		}
	}
	return nil
}

func lockScratch(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (s *scratch) remove() error {
	if s == nil {
		return nil
	}
	defer s.lock.Close()
	return os.RemoveAll(s.dir)
}
