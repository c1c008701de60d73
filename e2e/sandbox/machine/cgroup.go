package machine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const cgroupMount = "/sys/fs/cgroup"

// system is the cgroup of the machine's own programs. The machine's cgroup itself stays without
// processes: kubelet makes its Pods' cgroups there, and cgroup v2 allows children with controllers
// only then (cgroups(7), "no internal processes").
const system = "system"

// createCgroup makes a cgroup in every hierarchy and puts a process in its "system".
func createCgroup(path string, pid int) error {
	for _, h := range hierarchies() {
		if err := h.create(filepath.Join(path, system)); err != nil {
			return fmt.Errorf("cgroup %s: %w", path, err)
		}
		procs := filepath.Join(h.mount, path, system, "cgroup.procs")
		if err := os.WriteFile(procs, []byte(strconv.Itoa(pid)), 0); err != nil {
			return fmt.Errorf("cgroup %s: %w", path, err)
		}
	}
	return nil
}

// hierarchy is one tree of cgroups: the only one of version 2, or one for each controller of version 1.
type hierarchy struct {
	mount   string
	unified bool
}

// hierarchies lists the trees of this machine. A version 2 tree may stand next to version 1 ones, without controllers
// (cgroups(7), "hybrid").
func hierarchies() []hierarchy {
	if isCgroup2(cgroupMount) {
		return []hierarchy{{cgroupMount, true}}
	}
	entries, err := os.ReadDir(cgroupMount)
	if err != nil {
		return nil // no cgroups: kubelet says so
	}
	var list []hierarchy
	for _, e := range entries {
		// A link is a second name of a tree (cpu → cpu,cpuacct).
		if e.IsDir() {
			mount := filepath.Join(cgroupMount, e.Name())
			list = append(list, hierarchy{mount, isCgroup2(mount)})
		}
	}
	return list
}

func isCgroup2(path string) bool {
	var stat unix.Statfs_t
	return unix.Statfs(path, &stat) == nil && stat.Type == unix.CGROUP2_SUPER_MAGIC
}

// create makes a cgroup, level by level: each level needs something from the one above.
func (h hierarchy) create(path string) error {
	parent := h.mount
	for name := range strings.SplitSeq(path, "/") {
		if err := h.enableControllers(parent); err != nil {
			return err
		}
		child := filepath.Join(parent, name)
		if err := os.Mkdir(child, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := inheritCpuset(parent, child); err != nil {
			return err
		}
		parent = child
	}
	return nil
}

// enableControllers gives the children of a version 2 cgroup the controllers that it has itself.
func (h hierarchy) enableControllers(cgroup string) error {
	if !h.unified {
		return nil
	}
	available, err := os.ReadFile(filepath.Join(cgroup, "cgroup.controllers"))
	if err != nil {
		return err
	}
	enabled, err := os.ReadFile(filepath.Join(cgroup, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	on := strings.Fields(string(enabled))
	for _, controller := range strings.Fields(string(available)) {
		if slices.Contains(on, controller) {
			continue
		}
		if err := os.WriteFile(filepath.Join(cgroup, "cgroup.subtree_control"), []byte("+"+controller), 0); err != nil {
			return fmt.Errorf("give the children of %s the controller %s: %w", cgroup, controller, err)
		}
	}
	return nil
}

// inheritCpuset fills what a new version 1 cpuset leaves empty; a process cannot join before (cpuset(7)).
func inheritCpuset(parent, child string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(child, name))
		if errors.Is(err, fs.ErrNotExist) || len(bytes.TrimSpace(value)) > 0 {
			continue
		}
		if err != nil {
			return err
		}
		inherited, err := os.ReadFile(filepath.Join(parent, name))
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(inherited)) == 0 {
			continue // version 2: empty means the parent's
		}
		if err := os.WriteFile(filepath.Join(child, name), inherited, 0); err != nil {
			return err
		}
	}
	return nil
}

// RemoveCgroup removes a cgroup and all below it, where there is one. No process is left in it.
func RemoveCgroup(path string) error {
	var failed []error
	for _, h := range hierarchies() {
		failed = append(failed, removeTree(filepath.Join(h.mount, path)))
	}
	return errors.Join(failed...)
}

// removeTree removes the folders from the leaves up; the files in them are the kernel's.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil {
		return fmt.Errorf("remove cgroup %s: %w", dir, err)
	}
	return nil
}

// processesIn lists the processes in a cgroup and all below it.
func processesIn(path string) []int {
	var pids []int
	trees := hierarchies()
	if len(trees) == 0 {
		return nil
	}
	// Every process of a machine is in every hierarchy; one is enough.
	_ = filepath.WalkDir(filepath.Join(trees[0].mount, path), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir // a cgroup that went away in between
		}
		if e.Name() != "cgroup.procs" {
			return nil
		}
		data, _ := os.ReadFile(path) // empty for one that went away
		for _, field := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}
