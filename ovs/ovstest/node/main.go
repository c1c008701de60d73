package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Inside is set in the environment of the test binary that runs in the namespaces. A child that is started with it empty gets
// namespaces of its own.
const Inside = "HEDDLE_TEST_NAMESPACES"

// rootEnv names the folder of an unpacked Debian root, such as that of Heddle's image, whose programs run instead of this
// machine's. Only the namespaces of the test see them.
const rootEnv = "HEDDLE_TEST_ROOT"

// programs are what a Node needs on the machine.
var programs = []string{
	"ovsdb-server", "ovsdb-tool", "ovs-vswitchd", "ovs-vsctl", "ovs-appctl",
	"ovn-northd", "ovn-controller", "ovn-nbctl", "ovn-sbctl",
}

// Main runs the tests of a package in namespaces of their own and exits. Where that cannot be, the tests run in place and
// Start skips them with the reason.
func Main(m *testing.M) {
	if os.Getenv(Inside) != "" {
		if err := prepare(); err != nil {
			fmt.Fprintln(os.Stderr, "prepare the test namespaces:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	if missing() != "" {
		os.Exit(m.Run())
	}
	os.Exit(again())
}

// missing says why no Node can be started here; empty when one can.
func missing() string {
	if os.Geteuid() != 0 {
		return "needs root for network namespaces"
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return "needs " + p + " (Debian: openvswitch-switch, ovn-central, ovn-host)"
		}
	}
	return ""
}

// again runs this binary in new namespaces and returns its exit code.
func again() int {
	// Pdeathsig is sent when the thread that started the child ends, so keep it.
	runtime.LockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), Inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Run(); err != nil {
		if cmd.ProcessState == nil {
			fmt.Fprintln(os.Stderr, "run the tests in namespaces of their own:", err)
			return 1
		}
		return max(cmd.ProcessState.ExitCode(), 1)
	}
	return 0
}

// prepare makes the new namespaces usable: mounts that stay inside, /proc of the new process namespace, and lo up.
func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := scratch(); err != nil {
		return err
	}
	if err := programsFrom(os.Getenv(rootEnv)); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	return netlink.LinkSetUp(lo)
}

// scratch makes temporary files go with the namespaces, also when the tests are killed. It does not cover /tmp itself, where
// `go test` expects profiles.
func scratch() error {
	dir := filepath.Join(os.TempDir(), "heddle-test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	return os.Setenv("TMPDIR", dir)
}

// UsePrograms lays the programs of another root over this one's until the test ends. It skips the test where there is no such root.
// Call it before Start.
func UsePrograms(tb testing.TB, root string) {
	tb.Helper()
	root, err := filepath.Abs(root)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "usr")); err != nil || os.Getenv(Inside) == "" {
		tb.Skipf("needs root, and the image's Debian in %s: run `make dist/root`", root)
	}
	if err := programsFrom(root); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := unix.Unmount("/usr", unix.MNT_DETACH); err != nil {
			tb.Errorf("unmount /usr: %v", err)
		}
	})
}

// programsFrom lays the programs and libraries of another root over this one's, whose others stay.
func programsFrom(root string) error {
	if root == "" {
		return nil
	}
	layers := "lowerdir=" + filepath.Join(root, "usr") + ":/usr"
	if err := unix.Mount("overlay", "/usr", "overlay", unix.MS_RDONLY, layers); err != nil {
		return fmt.Errorf("mount %s on /usr: %w", layers, err)
	}
	return nil
}
