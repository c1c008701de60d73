package machine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/heddle-net/heddle/e2e/sandbox/process"
)

// Enter is a command to be run in the machine's namespaces, with the terminal of this process where it is given that.
func (m *Machine) Enter(ctx context.Context, args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(m.Init.PID), "--net", "--mount", "--pid", "--uts", "--ipc", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.Env = append(os.Environ(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	return cmd
}

// Command is a command to be run in the machine's namespaces, which ends with ctx. For that it has a process group of its own:
// nsenter waits for a child that it made in the process namespace, and would leave it behind.
func (m *Machine) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := m.Enter(ctx, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// Run runs a command in the machine and returns what it writes; an error holds that too.
func (m *Machine) Run(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := m.Command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %s: %w: %s", m.Config.Name, strings.Join(args, " "), err, bytes.TrimSpace(out.Bytes()))
	}
	return out.String(), nil
}

// NetNS is the path of the machine's network namespace.
func (m *Machine) NetNS() string { return fmt.Sprintf("/proc/%d/ns/net", m.Init.PID) }

// Path is where the host finds a file of the machine, for a path without symbolic links to absolute paths.
func (m *Machine) Path(path string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", m.Init.PID), path)
}

// Kill ends the machine's processes of one program at once, as kill -9 does, in containers too, and returns how many there
// were. The program is named by the base name of its path, as "ovsdb-server"; each of having is a part of the command line
// that tells it from others of that name.
func (m *Machine) Kill(program string, having ...string) (int, error) {
	n := 0
	for _, pid := range processesIn(m.Config.Cgroup) {
		id, err := process.Identify(pid)
		if err != nil || !runs(pid, program, having) {
			continue
		}
		if err := id.Kill(time.Minute); err != nil {
			return n, fmt.Errorf("%s: kill %s: %w", m.Config.Name, program, err)
		}
		n++
	}
	return n, nil
}

// runs compares a process's command line. OVS's daemons with a monitor rewrite the monitor's as "ovs-vswitchd: monitoring …", so
// that it is not taken for the program.
func runs(pid int, program string, having []string) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	first, _, _ := bytes.Cut(data, []byte{0})
	if filepath.Base(string(first)) != program {
		return false
	}
	return !slices.ContainsFunc(having, func(part string) bool { return !bytes.Contains(data, []byte(part)) })
}
