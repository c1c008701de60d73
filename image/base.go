package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Suite is the Debian release of the base: trixie carries OVN 25.03 and Open vSwitch 3.5.
const Suite = "trixie"

// keyring verifies the archive. Debian 12 has trixie's keys in it since debian-archive-keyring 2023.3+deb12u2.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

//go:embed packages.txt
var packagesFile string

// packages is the list in packages.txt without its comments.
func packages() []string {
	var list []string
	for line := range strings.Lines(packagesFile) {
		if name := strings.TrimSpace(line); name != "" && !strings.HasPrefix(name, "#") {
			list = append(list, name)
		}
	}
	return list
}

// bootstrapArgs are mmdebstrap's arguments but for the target. What is left out is what Debian's own slim images leave out, and
// what would differ from one machine to the next.
func bootstrapArgs(arch string) []string {
	return []string{
		"--variant=minbase", "--format=tar", "--architectures=" + arch, "--keyring=" + keyring,
		"--include=" + strings.Join(packages(), ","),
		"--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-include=/usr/share/doc/*/copyright",
		"--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/info/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*",
		"--customize-hook=rm -f \"$1\"/etc/hostname \"$1\"/etc/resolv.conf",
		"--customize-hook=rm -f \"$1\"/var/cache/debconf/*-old \"$1\"/var/cache/ldconfig/aux-cache",
		Suite,
	}
}

// baseLayer returns the tar of the Debian base from the cache, and makes it when the cache has none for these arguments.
func baseLayer(ctx context.Context, arch string, refresh bool) (string, error) {
	path, err := basePath(arch)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err == nil && !refresh {
		fmt.Println("debian base: cached,", path)
		return path, nil
	}
	if _, err := os.Stat(keyring); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is missing: install debian-archive-keyring", keyring)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, bootstrap(ctx, arch, path)
}

// basePath names the cached base after everything that it is made of.
func basePath(arch string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	key := sha256.Sum256([]byte(strings.Join(bootstrapArgs(arch), "\n")))
	return filepath.Join(cache, "heddle", "image", fmt.Sprintf("base-%s-%x.tar", arch, key[:8])), nil
}

// bootstrap runs mmdebstrap into a file beside path and renames it, so that a broken run leaves nothing that looks whole.
func bootstrap(ctx context.Context, arch, path string) error {
	partial := fmt.Sprintf("%s.%d", path, os.Getpid())
	defer os.Remove(partial)
	cmd := exec.CommandContext(ctx, "mmdebstrap", append(bootstrapArgs(arch), partial)...)
	// mmdebstrap clamps every time in the tar to this: the same packages give the same bytes.
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=0")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("mmdebstrap %s: %w", Suite, err)
	}
	return os.Rename(partial, path)
}
