package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pidOf asks a daemon of OVS's for its process.
func pidOf(t *testing.T, dir, daemon string) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, daemon+".pid"))
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	must(t, err)
	return pid
}

// TestNodeDatabaseStartsAgainInItsContainer kills the node's database below a connected client. The second time, the container ends.
func TestNodeDatabaseStartsAgainInItsContainer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sock := "unix:" + filepath.Join(dir, "db.sock")
	p := start(t, []string{"OVS_DBDIR=" + dir, "OVS_RUNDIR=" + dir}, "again", "./entrypoint/ovs-db")
	command(t, "ovsdb-client", "--timeout=20", "wait", sock, "Open_vSwitch", "connected")
	command(t, "ovs-vsctl", "--db="+sock, "--no-wait", "set", "Open_vSwitch", ".", "external_ids:test=kept")
	first := pidOf(t, dir, "ovsdb-server")
	begin := time.Now()
	must(t, syscall.Kill(first, syscall.SIGKILL))
	if got := command(t, "ovs-vsctl", "--db="+sock, "--retry", "--timeout=20", "get", "Open_vSwitch", ".", "external_ids:test"); strings.TrimSpace(got) != "kept" {
		t.Errorf("after kill -9: %s", got)
	}
	t.Logf("away for less than %v", time.Since(begin))
	second := pidOf(t, dir, "ovsdb-server")
	if second == first {
		t.Fatal("it was not killed")
	}
	must(t, syscall.Kill(second, syscall.SIGKILL))
	<-p.done
	if code := p.ProcessState.ExitCode(); code != 128+int(syscall.SIGKILL) {
		t.Errorf("the container ended with %d", code)
	}
	for _, want := range []string{"ended with status 137 and is started again", "for the second time"} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("the log does not tell %q", want)
		}
	}
}

// TestAgainEndsWhenAsked: by SIGTERM, which the command hears and may take its time for, and by the command itself.
func TestAgainEndsWhenAsked(t *testing.T) {
	for name, c := range map[string]struct {
		command string
		status  int
	}{
		"stopped":          {`trap 'sleep 0.1; echo last words; exit 3' TERM; echo up; while :; do read -r _ <>"$0/fifo"; done`, 3},
		"stopped at once":  {`echo up; exec sleep 60`, 128 + int(syscall.SIGTERM)},
		"ends by itself":   {`echo up; echo last words`, 0},
		"cannot be run":    {`echo up; exec /nowhere`, 127},
		"dies at each try": {`echo up; exit 64`, 64},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
			cmd := exec.Command("./entrypoint/again", "sh", "-c", c.command, dir)
			out, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			defer time.AfterFunc(deadline, func() { _ = cmd.Process.Kill() }).Stop()
			lines := bufio.NewReader(out)
			_, err = lines.ReadString('\n')
			must(t, err)
			if strings.HasPrefix(name, "stopped") {
				must(t, cmd.Process.Signal(syscall.SIGTERM))
			}
			rest, err := io.ReadAll(lines)
			must(t, err)
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != c.status {
				t.Errorf("status %d, want %d", code, c.status)
			}
			if strings.Contains(c.command, "last words") && string(rest) != "last words\n" {
				t.Errorf("it said %q", rest)
			}
		})
	}
}
