package machine

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// prepareRoot makes the machine's own view of the file system and makes it the root. It runs in
// the machine's init, in namespaces of its own.
func (c Config) prepareRoot() error {
	// Nothing mounted from here on is seen by the host, nor what the host mounts by us.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	root, err := c.mountOverlay()
	if err != nil {
		return err
	}
	if err := c.mountSystem(root); err != nil {
		return err
	}
	for _, b := range c.Binds {
		if err := b.mount(root); err != nil {
			return err
		}
	}
	return enterRoot(root)
}

// mountOverlay puts a layer of the machine's own over the host's root.
func (c Config) mountOverlay() (string, error) {
	upper, work, root := c.path("root/upper"), c.path("root/work"), c.path("root/merged")
	for _, dir := range []string{upper, work, root, c.LogDir()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	options := fmt.Sprintf("lowerdir=/,upperdir=%s,workdir=%s", upper, work)
	if err := unix.Mount("overlay", root, "overlay", 0, options); err != nil {
		return "", fmt.Errorf("overlay over / with its upper layer in %s: %w", upper, err)
	}
	return root, nil
}

// mountSystem mounts what belongs to the machine's namespaces, and the host's devices and cgroups.
func (c Config) mountSystem(root string) error {
	const safe = unix.MS_NOSUID | unix.MS_NODEV
	for _, m := range []struct {
		kind, target string
		flags        uintptr
	}{
		{"proc", "proc", safe | unix.MS_NOEXEC},
		{"sysfs", "sys", safe | unix.MS_NOEXEC}, // shows the network of the process that mounts it
		{"tmpfs", "run", safe},
		{"tmpfs", "tmp", safe},
	} {
		target := filepath.Join(root, m.target)
		if err := unix.Mount(m.kind, target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", target, err)
		}
	}
	for _, b := range []Bind{{Source: "/dev", Target: "/dev"}, {Source: "/sys/fs/cgroup", Target: "/sys/fs/cgroup"}} {
		if err := b.mount(root); err != nil {
			return err
		}
	}
	return nil
}

func (b Bind) mount(root string) error {
	target := filepath.Join(root, b.Target)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(b.Source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s at %s: %w", b.Source, b.Target, err)
	}
	if !b.ReadOnly {
		return nil
	}
	if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("bind %s read-only: %w", b.Source, err)
	}
	return nil
}

// enterRoot makes root the root and drops the host's. All is shared from there on, as systemd does
// on a real node: the namespaces that a runtime mounts below /run/netns are to be seen by Pods that
// mount /run/netns with HostToContainer propagation.
func enterRoot(root string) error {
	old := filepath.Join(root, "run/.old")
	if err := os.Mkdir(old, 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(root, old); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/run/.old", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the host's root: %w", err)
	}
	if err := os.Remove("/run/.old"); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("shared mounts: %w", err)
	}
	return nil
}

// prepareSysctls sets the network's, and hides the host's own behind copies.
func (c Config) prepareSysctls() error {
	for _, s := range c.Sysctls {
		if err := os.WriteFile(filepath.Join("/proc/sys", s.Key), []byte(s.Value), 0); err != nil {
			return fmt.Errorf("sysctl: %w", err)
		}
	}
	if err := os.MkdirAll("/run/sysctl", 0o755); err != nil {
		return err
	}
	for _, key := range c.PrivateSysctls {
		if err := hideSysctl(key); err != nil {
			return fmt.Errorf("sysctl %s: %w", key, err)
		}
	}
	return nil
}

func hideSysctl(key string) error {
	path := filepath.Join("/proc/sys", key)
	value, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	copied := filepath.Join("/run/sysctl", filepath.Base(key))
	if err := os.WriteFile(copied, value, 0o644); err != nil {
		return err
	}
	return unix.Mount(copied, path, "", unix.MS_BIND, "")
}
