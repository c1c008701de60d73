package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// agnhostSuite is the Debian release below agnhost; upstream's image has Alpine there.
const agnhostSuite = "bookworm"

// agnhostPackages are what upstream's image installs, by Debian's names, and ping.
var agnhostPackages = []string{
	"bash", "bind9-dnsutils", "ca-certificates", "curl", "iperf", "iperf3", "iproute2", "iputils-ping", "netcat-openbsd", "procps",
}

// AgnhostRoot makes agnhost's root file system as a tar archive, and returns its path.
func AgnhostRoot(ctx context.Context, note func(string)) (string, error) {
	args := agnhostArgs()
	path, err := CachedFile("images", "agnhost-root", ".tar", strings.Join(args, "\n"))
	if err != nil {
		return "", err
	}
	return path, Once(path, func(unfinished string) error {
		cmd := exec.CommandContext(ctx, "mmdebstrap", append(args, agnhostSuite, unfinished)...)
		said, err := follow(cmd, note)
		if err != nil {
			return fmt.Errorf("agnhost's root from Debian: %w\n%s", err, said)
		}
		return nil
	})
}

func agnhostArgs() []string {
	args := []string{"--variant=minbase", "--format=tar", "--include=" + strings.Join(agnhostPackages, ",")}
	for _, useless := range []string{"doc", "man", "info", "locale"} {
		args = append(args, "--dpkgopt=path-exclude=/usr/share/"+useless+"/*")
	}
	return append(args,
		`--customize-hook=rm -f "$1"/etc/hostname "$1"/etc/resolv.conf`,
		// An upstream test of supplemental groups asks for this user and group.
		`--customize-hook=chroot "$1" groupadd -g 50000 group-defined-in-image`,
		`--customize-hook=chroot "$1" useradd -u 1000 -G group-defined-in-image user-defined-in-image`,
	)
}

// CachedFile is the path in the cache of something made by a recipe: another recipe, another path.
func CachedFile(folder, name, extension, recipe string) (string, error) {
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256([]byte(recipe))
	return filepath.Join(cache, folder, fmt.Sprintf("%s-%x%s", name, hash[:6], extension)), nil
}

// Once makes a file of the cache where it is missing. What write writes appears under the right name when it
// is whole.
func Once(path string, write func(unfinished string) error) error {
	if exists(path) {
		return nil
	}
	unlock, err := lock(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock()
	if exists(path) { // another process made it while we waited
		return nil
	}
	unfinished := path + ".unfinished"
	if err := write(unfinished); err != nil {
		return errors.Join(err, os.RemoveAll(unfinished))
	}
	return os.Rename(unfinished, path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
