package kernel

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed init
var initScript string

// guest is what boots.
type guest struct {
	root  string // the repository
	work  string // a folder for what is built
	linux linux
	tests []suite
}

// suite is a package whose tests run in the guest.
type suite struct {
	pkg  string // its folder in the repository
	skip string // tests that are left out, as -skip of go test; whole tests first: behind a pattern of subtests they have no effect
	run  string // those that run, as -run of go test; empty means all
}

// arguments are those of the test binary.
func (s suite) arguments() string {
	args := "-test.v=test2json -test.count=1 -test.timeout=10m"
	if s.run != "" {
		args += " -test.run=" + s.run
	}
	if s.skip != "" {
		args += " -test.skip=" + s.skip
	}
	return args
}

// release is the Debian that dist/root has, such as trixie.
func release(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "dist/root/etc/os-release"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "VERSION_CODENAME="); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", errors.New("dist/root/etc/os-release names no release")
}

// compile builds the tests, and the CNI plugin for those that call it. The flags are those of `make bin`, whose results in Go's cache
// are taken again.
func (g *guest) compile(ctx context.Context) error {
	for _, s := range g.tests {
		if err := g.golang(ctx, "test", "-c", "-trimpath", "-ldflags=-s -w", "-o", g.binary(s), "./"+s.pkg); err != nil {
			return err
		}
	}
	return g.golang(ctx, "build", "-trimpath", "-ldflags=-s -w", "-o", g.plugin(), "./cmd/heddle-cni")
}

func (g *guest) binary(s suite) string {
	return filepath.Join(g.work, strings.ReplaceAll(s.pkg, "/", "-")+".test")
}

func (g *guest) plugin() string { return filepath.Join(g.work, "heddle-cni") }

func (g *guest) golang(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = g.root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// initramfs writes all that the guest has, and returns its path.
func (g *guest) initramfs() (string, error) {
	path := filepath.Join(g.work, "initramfs")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	a := newArchive(f)
	return path, errors.Join(g.fill(a), a.end(), f.Close())
}

func (g *guest) fill(a *archive) error {
	debian, err := filepath.EvalSymlinks(filepath.Join(g.root, "dist/root"))
	if err != nil {
		return err
	}
	var list strings.Builder
	for _, s := range g.tests {
		fmt.Fprintln(&list, s.pkg, s.arguments())
	}
	steps := []error{
		a.tree(debian, "."),
		a.tree(filepath.Join(g.linux.dir, "usr"), "usr"),
		a.folder("dev", 0o755),
		a.device("dev/console", 5, 1),
		a.text("init", 0o755, initScript),
		a.text("tests", 0o644, list.String()),
		a.file(g.plugin(), "heddle-cni", 0o755),
		// Its programs are what the guest has anyway: tests that ask for them find a root that adds nothing.
		a.folders("src/dist/root/usr"),
	}
	for _, s := range g.tests {
		steps = append(steps, g.sources(a, s))
	}
	return errors.Join(steps...)
}

// sources are the test binary of a package, where it finds its testdata.
func (g *guest) sources(a *archive, s suite) error {
	at := filepath.Join("src", s.pkg)
	err := errors.Join(a.folders(at), a.file(g.binary(s), filepath.Join(at, "guest.test"), 0o755))
	data := filepath.Join(g.root, s.pkg, "testdata")
	if _, missing := os.Stat(data); errors.Is(missing, fs.ErrNotExist) {
		return err
	}
	return errors.Join(err, a.tree(data, filepath.Join(at, "testdata")))
}
