package kernel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// archive writes an initramfs: a cpio archive in the format "newc". Everything in it belongs to root.
type archive struct {
	w      *bufio.Writer
	inodes int
}

func newArchive(w io.Writer) *archive { return &archive{w: bufio.NewWriterSize(w, 1<<20)} }

// Bits of st_mode (inode(7)).
const (
	typeFile   = 0o100000
	typeFolder = 0o040000
	typeLink   = 0o120000
	typeDevice = 0o020000
)

// entry writes one header, and what follows it. Only a device has major and minor.
func (a *archive) entry(path string, mode uint32, size int64, major, minor int, content io.Reader) error {
	a.inodes++
	const header = "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x"
	fmt.Fprintf(a.w, header, a.inodes, mode, 0, 0, 1, 0, size, 0, 0, major, minor, len(path)+1, 0)
	fmt.Fprint(a.w, path+"\x00")
	a.pad(int64(110 + len(path) + 1))
	n, err := io.Copy(a.w, content)
	if err == nil && n != size {
		err = fmt.Errorf("it has %d octets, not %d", n, size)
	}
	if err != nil {
		return fmt.Errorf("put %s into the initramfs: %w", path, err)
	}
	a.pad(size)
	return nil
}

// pad fills up to a multiple of 4.
func (a *archive) pad(size int64) { _, _ = a.w.Write(make([]byte, -size&3)) }

// tree copies a folder of this machine with all that is in it.
func (a *archive) tree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return a.copy(path, filepath.Join(to, inside), d)
	})
}

func (a *archive) copy(from, to string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	mode := uint32(info.Mode().Perm())
	switch info.Mode().Type() {
	case fs.ModeDir:
		return a.folder(to, mode)
	case fs.ModeSymlink:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return a.entry(to, typeLink|0o777, int64(len(target)), 0, 0, strings.NewReader(target))
	case 0:
		return a.file(from, to, mode)
	}
	return nil // sockets and devices are made by the guest
}

func (a *archive) folder(path string, mode uint32) error {
	return a.entry(path, typeFolder|mode, 0, 0, 0, strings.NewReader(""))
}

// folders makes a folder and those above it. One that is there already stays as it is.
func (a *archive) folders(path string) error {
	if path == "." {
		return nil
	}
	return errors.Join(a.folders(filepath.Dir(path)), a.folder(path, 0o755))
}

func (a *archive) device(path string, major, minor int) error {
	return a.entry(path, typeDevice|0o600, 0, major, minor, strings.NewReader(""))
}

func (a *archive) text(path string, mode uint32, content string) error {
	return a.entry(path, typeFile|mode, int64(len(content)), 0, 0, strings.NewReader(content))
}

func (a *archive) file(from, to string, mode uint32) (err error) {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return a.entry(to, typeFile|mode, info.Size(), 0, 0, f)
}

// end writes what ends an archive.
func (a *archive) end() error {
	return errors.Join(a.entry("TRAILER!!!", 0, 0, 0, 0, strings.NewReader("")), a.w.Flush())
}
