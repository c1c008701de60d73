package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/heddle-net/heddle/e2e/sandbox/cluster"
	"github.com/heddle-net/heddle/e2e/sandbox/process"
)

// footprint is what of a sandbox can be left over on the host, noted while it runs. It tells the sandbox's things from those of
// other tests that run at the same time; the numbers of namespaces, for one, are given away again at once.
type footprint struct {
	processes []process.Identity
	network   string // of this process: a thread that was left in a machine's namespace would keep it
}

func takeFootprint(t *testing.T, c *cluster.Cluster) footprint {
	t.Helper()
	machines := map[string]bool{} // namespaces
	for _, id := range inits(t, c) {
		for _, kind := range []string{"net", "mnt", "pid", "uts", "ipc"} {
			machines[readlink(t, filepath.Join("/proc", strconv.Itoa(id.PID), "ns", kind))] = true
		}
	}
	f := footprint{network: readlink(t, "/proc/self/ns/net")}
	for _, pid := range numbers(t, "/proc") {
		if !isOf(pid, machines, c) {
			continue
		}
		if id, err := process.Identify(pid); err == nil {
			f.processes = append(f.processes, id)
		}
	}
	if len(f.processes) == 0 {
		t.Fatal("nothing runs")
	}
	return f
}

// isOf finds processes by their namespaces, and containers, which have all of their own, by their cgroup.
func isOf(pid int, namespaces map[string]bool, c *cluster.Cluster) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	links, _ := filepath.Glob(proc + "/ns/*") // empty for a process that has ended
	for _, link := range links {
		if namespace, err := os.Readlink(link); err == nil && namespaces[namespace] {
			return true
		}
	}
	cgroups, _ := os.ReadFile(proc + "/cgroup")
	return strings.Contains(string(cgroups), "/heddle-sandbox-"+c.Name+"/")
}

// inits of the machines that run.
func inits(t *testing.T, c *cluster.Cluster) []process.Identity {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(c.Dir(), "machines"))
	if err != nil {
		t.Fatal(err)
	}
	var ids []process.Identity
	for _, e := range entries {
		if m, err := c.Machine(e.Name()); err == nil && m.Alive() {
			ids = append(ids, m.Init)
		}
	}
	return ids
}

func (f footprint) assertGone(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	f.assertProcessesGone(t)
	for mount := range strings.Lines(readFile(t, "/proc/self/mountinfo")) {
		if strings.Contains(mount, c.Dir()) {
			t.Errorf("left mount: %s", mount)
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup/*/heddle-sandbox-", "/sys/fs/cgroup/heddle-sandbox-"} {
		cgroups, _ := filepath.Glob(pattern + c.Name)
		for _, cgroup := range cgroups {
			t.Errorf("left cgroup: %s", cgroup)
		}
	}
	if _, err := os.Stat(c.Dir()); !os.IsNotExist(err) {
		t.Errorf("left folder: %s (%v)", c.Dir(), err)
	}
	links, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if slices.Contains([]string{"nodes", "outside", "control", "heddle-1", "outside-1"}, link.Name()) {
			t.Errorf("left link: %s", link.Name())
		}
	}
}

func (f footprint) assertProcessesGone(t *testing.T) {
	t.Helper()
	for _, id := range f.processes {
		if id.Alive() {
			t.Errorf("left process: %d %s", id.PID, readFile(t, filepath.Join("/proc", strconv.Itoa(id.PID), "cmdline")))
		}
	}
	for _, task := range numbers(t, "/proc/self/task") {
		namespace, err := os.Readlink(filepath.Join("/proc/self/task", strconv.Itoa(task), "ns/net"))
		if err == nil && namespace != f.network {
			t.Errorf("thread %d of this process is left in %s", task, namespace)
		}
	}
}

// numbers are the names in a folder that are numbers.
func numbers(t *testing.T, dir string) []int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			list = append(list, n)
		}
	}
	return list
}

func readlink(t *testing.T, path string) string {
	t.Helper()
	target, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
