package ovstest

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Northd is OVN's control plane without a node: a northbound and a southbound database with ovn-northd between them.
type Northd struct {
	NB, SB *Server

	tb     testing.TB
	dir    string
	traces int
}

// StartNorthd runs the three programs and returns when ovn-northd has filled both databases.
func StartNorthd(tb testing.TB) *Northd {
	tb.Helper()
	need(tb, "ovn-northd", "ovn-nbctl", "ovn-sbctl", "ovn-trace")
	dir, err := os.MkdirTemp("", "northd") // not tb.TempDir, see StartServer
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	n := &Northd{NB: StartServer(tb, NorthboundSchema), SB: StartServer(tb, SouthboundSchema), tb: tb, dir: dir}
	stdin, process := tied(tb, "ovn-northd", "--ovnnb-db="+n.NB.Endpoint, "--ovnsb-db="+n.SB.Endpoint,
		"--unixctl="+n.ctl(), "-vconsole:off", "--log-file="+filepath.Join(dir, "log"))
	tb.Cleanup(func() {
		_ = stdin.Close()
		_ = process.Wait()
	})
	n.Sync()
	return n
}

// tied starts a program in a process group of its own that ends when its input is closed, whatever happens to the test.
func tied(tb testing.TB, program string, args ...string) (io.Closer, *exec.Cmd) {
	tb.Helper()
	cmd := exec.Command("sh", append([]string{"-c", `"$@" & cat >/dev/null; kill -KILL $!; wait`, "sh", program}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return stdin, cmd
}

func (n *Northd) ctl() string { return filepath.Join(n.dir, "ctl") }

// Sync waits until ovn-northd has put everything that is in NB now into SB.
func (n *Northd) Sync() {
	n.tb.Helper()
	n.NB.Nbctl("--wait=sb", "sync")
}

// Sbctl runs ovn-sbctl.
func (n *Northd) Sbctl(args ...string) string {
	n.tb.Helper()
	return run(n.tb, "ovn-sbctl", append([]string{"--db=" + n.SB.Endpoint, "--no-leader-only", "-t", "20"}, args...)...)
}

// AddChassis makes a node known to OVN, as its ovn-controller would.
func (n *Northd) AddChassis(name, ip string) {
	n.tb.Helper()
	n.Sbctl("chassis-add", name, "geneve", ip)
}

// Bind puts ports on a chassis, wherever they were, as the ovn-controller there would when the interfaces appear.
func (n *Northd) Bind(chassis string, ports ...string) {
	n.tb.Helper()
	n.BindAll(map[string][]string{chassis: ports})
}

// BindAll puts ports on several chassis.
func (n *Northd) BindAll(ports map[string][]string) {
	n.tb.Helper()
	var args []string
	for chassis, list := range ports {
		for _, port := range list {
			args = append(args, "--", "--if-exists", "lsp-unbind", port, "--", "lsp-bind", port, chassis)
		}
	}
	if len(args) > 0 {
		n.Sbctl(args...)
	}
}
