package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestNodeKeepsItsNameInOVN(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := []string{"OVS_DBDIR=" + dir, "OVS_RUNDIR=" + dir}
	systemID := func() string {
		sock := "unix:" + filepath.Join(dir, "db.sock")
		p := start(t, env, "ovs-db")
		command(t, "ovsdb-client", "--timeout=20", "wait", sock, "Open_vSwitch", "connected")
		defer p.stop(syscall.SIGTERM)
		return command(t, "ovs-vsctl", "--db="+sock, "get", "Open_vSwitch", ".", "external_ids:system-id")
	}
	first := systemID()
	if len(strings.TrimSpace(first)) < 36 {
		t.Fatalf("system-id is %q", first)
	}
	must(t, os.Remove(filepath.Join(dir, "conf.db")))
	if again := systemID(); again != first {
		t.Errorf("a lost database renames the node from %s to %s", first, again)
	}
	write(t, filepath.Join(dir, "system-id.conf"), "another")
	if again := systemID(); again != first {
		t.Errorf("a name that is set was changed from %s to %s", first, again)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	must(t, os.Symlink(to, at))
}

// TestNodeDatabaseBehindALink: Debian's openvswitch-switch makes database and lock links to /var/lib/openvswitch, where nothing may be yet.
func TestNodeDatabaseBehindALink(t *testing.T) {
	t.Parallel()
	etc, lib := t.TempDir(), t.TempDir()
	for _, name := range []string{"conf.db", ".conf.db.~lock~"} {
		link(t, filepath.Join(lib, name), filepath.Join(etc, name))
	}
	sock := "unix:" + filepath.Join(etc, "db.sock")
	for _, run := range []string{"first", "second"} {
		p := start(t, []string{"OVS_DBDIR=" + etc, "OVS_RUNDIR=" + etc}, "ovs-db")
		command(t, "ovsdb-client", "--timeout=20", "wait", sock, "Open_vSwitch", "connected")
		command(t, "ovs-vsctl", "--db="+sock, "--no-wait", "set", "Open_vSwitch", ".", "external_ids:"+run+"=here")
		p.stop(syscall.SIGTERM)
	}
	data, err := os.ReadFile(filepath.Join(lib, "conf.db"))
	if err != nil || !strings.Contains(string(data), "first") || !strings.Contains(string(data), "second") {
		t.Errorf("behind the link: %s, %v", data, err)
	}
}

// TestFinishTeardown ends it while Open vSwitch ends too, and while it stays.
func TestFinishTeardown(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, for a network namespace")
	}
	for name, uninstalled := range map[string]bool{"uninstalled": true, "rolled back": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run, dir, other, lib := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
			write(t, filepath.Join(lib, "conf.db"), "")
			link(t, filepath.Join(lib, "conf.db"), filepath.Join(dir, "conf.db"))
			write(t, filepath.Join(dir, ".hidden/conf.db"), "")
			write(t, filepath.Join(other, "ovnnb_db.db"), "")
			ovs := start(t, []string{"OVS_DBDIR=" + run, "OVS_RUNDIR=" + run}, "ovs-db")
			command(t, "ovsdb-client", "--timeout=20", "wait", "unix:"+filepath.Join(run, "db.sock"), "Open_vSwitch", "connected")
			cmd := exec.Command("./entrypoint/finish-teardown", dir, other)
			// The kernel's datapath belongs to a network namespace, so this one cannot be the machine's.
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
			cmd.Env = append(os.Environ(), "OVS_RUNDIR="+run, "PATIENCE=2")
			out, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			defer time.AfterFunc(deadline, func() { _ = cmd.Process.Kill() }).Stop()
			_, err = bufio.NewReader(out).ReadString('\n')
			must(t, err)
			must(t, cmd.Process.Signal(syscall.SIGTERM))
			if uninstalled {
				ovs.stop(syscall.SIGTERM)
			}
			must(t, cmd.Wait())
			_, err = os.Lstat(filepath.Join(dir, "conf.db"))
			must(t, err) // a link is Debian's, and stays
			must(t, os.Remove(filepath.Join(dir, "conf.db")))
			for _, d := range []string{dir, other, lib} {
				if left, err := os.ReadDir(d); err != nil || (len(left) == 0) != uninstalled {
					t.Errorf("%s holds %v, %v", d, left, err)
				}
			}
		})
	}
}
