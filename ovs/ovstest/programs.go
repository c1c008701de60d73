package ovstest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// programs are this machine's, or those of another Debian that is unpacked in a folder.
type programs struct{ root string }

// need skips the test where a program is not installed.
func (p programs) need(tb testing.TB, names ...string) {
	tb.Helper()
	for _, name := range names {
		if _, err := p.find(name); err != nil {
			if p.root != "" {
				tb.Skipf("%s is not in %s; run `make dist/root`", name, p.root)
			}
			tb.Skipf("%s is not installed; run `make deps`", name)
		}
	}
}

func (p programs) find(name string) (string, error) {
	if p.root == "" {
		return exec.LookPath(name)
	}
	found, err := filepath.Glob(filepath.Join(p.root, "usr/*bin", name))
	if err == nil && len(found) == 0 {
		err = exec.ErrNotFound
	}
	return strings.Join(found, ""), err
}

// line is the command line of a program. Those of another Debian run with its libraries, by its own ld.so(8), which needs neither
// root nor a namespace.
func (p programs) line(tb testing.TB, name string, args ...string) []string {
	tb.Helper()
	if p.root == "" {
		return append([]string{name}, args...)
	}
	program, err := p.find(name)
	loaders, _ := filepath.Glob(filepath.Join(p.root, "usr/lib*/ld-linux-*.so.*"))
	libraries, _ := filepath.Glob(filepath.Join(p.root, "usr/lib/*-linux-gnu"))
	if err != nil || len(loaders) == 0 || len(libraries) == 0 {
		tb.Fatalf("%s: no such program, or no libraries, in %s", name, p.root)
	}
	return append([]string{loaders[0], "--library-path", libraries[0], program}, args...)
}

func (p programs) run(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	line := p.line(tb, name, args...)
	cmd := exec.Command(line[0], line[1:]...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatal(fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.String()))
	}
	return string(out)
}

// in is the folder of a root as an absolute path.
func in(tb testing.TB, root string) programs {
	tb.Helper()
	root, err := filepath.Abs(root)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "usr")); err != nil {
		tb.Skipf("the image's Debian is not in %s; run `make dist/root`", root)
	}
	return programs{root}
}
