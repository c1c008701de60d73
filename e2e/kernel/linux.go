package kernel

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/heddle-net/heddle/e2e/sandbox/build"
)

// keyring verifies Debian's archive.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// linux is a folder with Debian's kernel in boot, and in usr the modules that a network needs and programs.
type linux struct{ dir, version string }

// kept are the modules that the guest gets, below the kernel's folder: some tenth of all.
var kept = []string{"net/", "lib/", "crypto/", "arch/x86/crypto/", "fs/overlayfs/"}

// programs are what tests start and the image has not, with their libraries: the beginnings of paths.
var programs = []string{"usr/bin/ping", "usr/lib/x86_64-linux-gnu/libidn2.so.", "usr/lib/x86_64-linux-gnu/libunistring.so."}

// debianLinux takes the current kernel of a Debian release from the cache, or from Debian with its signature verified.
func debianLinux(ctx context.Context, suite string) (linux, error) {
	// Extracted is not installed: nothing of the packages runs.
	args := []string{"--variant=extract", "--format=tar", "--keyring=" + keyring, "--include=linux-image-amd64,iputils-ping", suite}
	dir, err := build.CachedFile("kernel", suite, "", strings.Join(slices.Concat(args, kept, programs), "\n"))
	if err != nil {
		return linux{}, err
	}
	if err := build.Once(dir, func(unfinished string) error { return fetchLinux(ctx, args, unfinished) }); err != nil {
		return linux{}, fmt.Errorf("the kernel of Debian: %w", err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil || len(found) != 1 {
		return linux{}, fmt.Errorf("%s has kernels %v: remove the folder", dir, found)
	}
	_, version, _ := strings.Cut(filepath.Base(found[0]), "-")
	return linux{dir, version}, nil
}

func (l linux) image() string { return filepath.Join(l.dir, "boot", "vmlinuz-"+l.version) }

func fetchLinux(ctx context.Context, args []string, dir string) error {
	cmd := exec.CommandContext(ctx, "mmdebstrap", append(args, "-")...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	unpacked := unpackLinux(tar.NewReader(out), dir)
	_, _ = io.Copy(io.Discard, out)
	if err := errors.Join(unpacked, cmd.Wait()); err != nil {
		return fmt.Errorf("mmdebstrap %s: %w\n%s", strings.Join(args, " "), err, said.String())
	}
	return depmod(dir)
}

// unpackLinux keeps of an archive what the guest needs.
func unpackLinux(archive *tar.Reader, dir string) error {
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if path := strings.TrimPrefix(header.Name, "./"); wanted(path) {
			if err := write(filepath.Join(dir, path), header, archive); err != nil {
				return err
			}
		}
	}
}

func wanted(path string) bool {
	if modules, ok := strings.CutPrefix(path, "usr/lib/modules/"); ok {
		_, module, inside := strings.Cut(modules, "/kernel/")
		return !inside || wantedModule(module)
	}
	return begins(path, programs) || strings.HasPrefix(path, "boot/vmlinuz-")
}

func wantedModule(path string) bool {
	if begins(path, kept) {
		return true
	}
	link, ok := strings.CutPrefix(path, "drivers/net/") // veth, geneve and so on; the cards are in folders
	return ok && !strings.Contains(link, "/")
}

func begins(path string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
}

// write makes a file or a link; folders come with what is in them.
func write(path string, header *tar.Header, content io.Reader) error {
	if header.Typeflag == tar.TypeDir {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if header.Typeflag == tar.TypeSymlink {
		return os.Symlink(header.Linkname, path)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, header.FileInfo().Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// depmod writes which module needs which: Debian does so when the package is installed.
func depmod(dir string) error {
	found, err := filepath.Glob(filepath.Join(dir, "usr/lib/modules/*"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("the package has modules %v: %w", found, err)
	}
	// Where /lib is a link to usr/lib, depmod wants it.
	if err := os.Symlink("usr/lib", filepath.Join(dir, "lib")); err != nil {
		return err
	}
	if out, err := exec.Command("/usr/sbin/depmod", "-b", dir, filepath.Base(found[0])).CombinedOutput(); err != nil {
		return fmt.Errorf("depmod: %w\n%s", err, out)
	}
	return nil
}
