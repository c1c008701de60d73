package image

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/heddle-net/heddle/e2e/sandbox/build"
)

// Names of the images, upstream's for build.KubernetesVersion and build.CoreDNSVersion.
const (
	CoreDNSName = "registry.k8s.io/coredns/coredns:" + build.CoreDNSVersion
	PauseName   = "registry.k8s.io/pause:3.10.2"
	AgnhostName = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"
)

const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

//go:embed pause/main.go
var pauseSource string

// Pause makes the image of pause and returns the archive's path.
func Pause(ctx context.Context, root string) (string, error) {
	result, err := build.CachedFile("images", "pause", ".tar", PauseName+pauseSource)
	if err != nil {
		return "", err
	}
	return result, build.Once(result, func(unfinished string) error {
		scratch, err := os.MkdirTemp("", "heddle-pause-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(scratch)
		if err := compilePause(ctx, root, filepath.Join(scratch, "pause")); err != nil {
			return err
		}
		return oneProgram(PauseName, filepath.Join(scratch, "pause"), unfinished)
	})
}

// CoreDNS makes the image of CoreDNS from its program, and returns the archive's path.
func CoreDNS(program string) (string, error) {
	result, err := build.CachedFile("images", "coredns", ".tar", CoreDNSName+program)
	if err != nil {
		return "", err
	}
	return result, build.Once(result, func(unfinished string) error { return oneProgram(CoreDNSName, program, unfinished) })
}

// oneProgram writes the archive of an image that holds a static program and nothing else.
func oneProgram(name, program, to string) error {
	file := filepath.Base(program)
	layer := to + ".layer"
	defer os.Remove(layer)
	if err := writeLayer(layer, []entry{{name: file, from: program, mode: 0o755}}); err != nil {
		return err
	}
	return archive{
		name: name, layers: []string{layer}, process: process{Env: []string{path}, Entrypoint: []string{"/" + file}},
	}.write(to)
}

func compilePause(ctx context.Context, root, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", to, "./e2e/sandbox/image/pause")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build pause: %w\n%s", err, said)
	}
	return nil
}

// Agnhost makes the image of agnhost from its program and its root, and returns the archive's path.
func Agnhost(ctx context.Context, note func(string)) (string, error) {
	program, err := build.Program("agnhost")
	if err != nil {
		return "", err
	}
	base, err := build.AgnhostRoot(ctx, note)
	if err != nil {
		return "", err
	}
	entries := agnhostLayer(program)
	result, err := build.CachedFile("images", "agnhost", ".tar", fmt.Sprint(AgnhostName, base, entries))
	if err != nil {
		return "", err
	}
	return result, build.Once(result, func(unfinished string) error {
		layer := unfinished + ".layer"
		defer os.Remove(layer)
		if err := writeLayer(layer, entries); err != nil {
			return err
		}
		return archive{
			name: AgnhostName, layers: []string{base, layer},
			process: process{Env: []string{path}, Entrypoint: []string{"/agnhost"}, Cmd: []string{"pause"}},
		}.write(unfinished)
	})
}

// agnhostLayer is what upstream's Dockerfile adds (test/images/agnhost) and tests look for. Left out are CoreDNS and the
// contents of the fake registry.
func agnhostLayer(program string) []entry {
	return []entry{
		{name: "agnhost", from: program, mode: 0o755},
		{name: "agnhost-2", link: "agnhost"},
		{name: "uploads/", mode: 0o777},
	}
}
