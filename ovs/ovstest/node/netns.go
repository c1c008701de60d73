package node

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// NewNetNS makes a network namespace, as a container runtime does for a Pod, and returns its path. It goes with the Node.
func (n *Node) NewNetNS() string {
	n.tb.Helper()
	n.seq++
	path := filepath.Join(n.Dir, fmt.Sprintf("netns-%d", n.seq))
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		n.tb.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- mountNetNS(path) }()
	if err := <-done; err != nil {
		n.tb.Fatalf("make a network namespace: %v", err)
	}
	n.tb.Cleanup(func() { n.DelNetNS(path) })
	return path
}

// mountNetNS makes a namespace and binds it to the path. The thread goes back to where it came from: were it the main thread,
// the namespace of the whole process, /proc/self/ns/net, would be the new one.
func mountNetNS(path string) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	err = unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return back
	}
	runtime.UnlockOSThread()
	return err
}

// DelNetNS removes the namespace; the kernel then removes what is in it. Twice is no error.
func (n *Node) DelNetNS(path string) {
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !os.IsNotExist(err) && err != unix.EINVAL {
		n.tb.Errorf("unmount %s: %v", path, err)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		n.tb.Error(err)
	}
}

// Exec runs a command in the network namespace at path and returns its output; empty path is the node's own.
func (n *Node) Exec(path, name string, args ...string) (string, error) {
	name, args = enter(cmp.Or(path, n.netns), name, args)
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

// enter is a command in the network namespace at path; empty is that of the test binary.
func enter(path, name string, args []string) (string, []string) {
	if path == "" {
		return name, args
	}
	return "nsenter", append([]string{"--net=" + path, name}, args...)
}

// MustExec is Exec that fails the test on error.
func (n *Node) MustExec(path, name string, args ...string) string {
	n.tb.Helper()
	out, err := n.Exec(path, name, args...)
	if err != nil {
		n.tb.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return out
}

// Do runs f on a thread that is in the network namespace at path. Sockets that f opens stay there.
func (n *Node) Do(path string, f func()) {
	n.tb.Helper()
	done := make(chan error)
	go func() { done <- visit(path, f) }()
	if err := <-done; err != nil {
		n.tb.Fatalf("enter %s: %v", path, err)
	}
}

func visit(path string, f func()) error {
	there, err := os.Open(path)
	if err != nil {
		return err
	}
	defer there.Close()
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	f()
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	runtime.UnlockOSThread()
	return nil
}
