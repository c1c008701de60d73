package machine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-net/heddle/e2e/sandbox/process"
)

// Command is a command to be run in the machine's namespaces and cgroups.
func (m *Machine) Command(ctx context.Context, args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(m.Init.PID), "--net", "--mount", "--pid", "--uts", "--ipc", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.Env = append(os.Environ(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
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

// Kill ends the machine's processes of one program at once, as kill -9 does, in containers too, and returns
// how many there were. The program is named by the base name of its path, as "ovn-northd".
func (m *Machine) Kill(program string) (int, error) {
	n := 0
	for _, pid := range processesIn(m.Config.Cgroup) {
		id, err := process.Identify(pid)
		if err != nil || programOf(pid) != program {
			continue
		}
		if err := id.Kill(time.Minute); err != nil {
			return n, fmt.Errorf("%s: kill %s: %w", m.Config.Name, program, err)
		}
		n++
	}
	return n, nil
}

// programOf reads a process's first argument. OVS's daemons with a monitor rewrite theirs as
// "ovs-vswitchd: monitoring …" and so do not count.
func programOf(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	first, _, _ := bytes.Cut(data, []byte{0})
	return filepath.Base(string(first))
}
