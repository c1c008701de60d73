package build

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// Root is the folder of the repository, found from the working folder up.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(data), "module github.com/heddle-net/heddle\n") {
			return dir, nil
		}
	}
	return "", errors.New("not in Heddle's repository: run this in a folder of it")
}

// programs of the module e2e/sandbox/kube that the sandbox runs.
var kubernetes = []string{
	"cmd/kube-apiserver", "cmd/kube-controller-manager", "cmd/kube-scheduler", "cmd/kubectl", "cmd/kubelet",
	"test/images/agnhost",
}

// Kubernetes builds what is missing of Kubernetes' programs; note gets the compiler's words.
func Kubernetes(ctx context.Context, root string, note func(string)) error {
	dir, err := KubernetesDir()
	if err != nil {
		return err
	}
	b := goBuild{
		name: "Kubernetes " + KubernetesVersion, in: filepath.Join(root, "e2e/sandbox/kube"), out: dir,
		ldflags: kubernetesLdflags(),
	}
	for _, program := range kubernetes {
		b.packages = append(b.packages, "k8s.io/kubernetes/"+program)
	}
	return b.run(ctx, note)
}

// coreDNS is the package in the module e2e/sandbox/coredns.
const coreDNS = "github.com/heddle-net/heddle/e2e/sandbox/coredns"

// kubernetesLdflags stamp the version as upstream's hack/lib/version.sh does. Without it the programs say
// v0.0.0, and kubelet and kubectl refuse or warn about each other.
func kubernetesLdflags() string {
	parts := strings.SplitN(strings.TrimPrefix(KubernetesVersion, "v"), ".", 3)
	flags := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for key, value := range map[string]string{
			"gitVersion": KubernetesVersion, "gitMajor": parts[0], "gitMinor": parts[1], "gitTreeState": "clean",
		} {
			flags = append(flags, "-X", pkg+"."+key+"="+value)
		}
	}
	return strings.Join(flags, " ")
}

// CoreDNS builds CoreDNS and returns its path. Another list of plugins in e2e/sandbox/coredns is another program.
func CoreDNS(ctx context.Context, root string, note func(string)) (string, error) {
	in := filepath.Join(root, "e2e/sandbox/coredns")
	recipe, err := os.ReadFile(filepath.Join(in, "main.go"))
	if err != nil {
		return "", err
	}
	folder, err := CachedFile("coredns", CoreDNSVersion+"-"+runtime.GOOS+"-"+runtime.GOARCH, "", string(recipe))
	if err != nil {
		return "", err
	}
	b := goBuild{name: "CoreDNS " + CoreDNSVersion, in: in, out: folder, ldflags: "-s -w", packages: []string{coreDNS}}
	return b.results()[0], b.run(ctx, note)
}

// Plugins builds the CNI plugins that a node needs besides Heddle's, and returns their paths.
func Plugins(ctx context.Context, root string, note func(string)) ([]string, error) {
	const module = "github.com/containernetworking/plugins"
	b := goBuild{name: "CNI plugins", in: root, ldflags: "-s -w", packages: []string{
		module + "/plugins/main/loopback", module + "/plugins/meta/portmap",
	}}
	if err := b.versioned(ctx, "cni", module); err != nil {
		return nil, err
	}
	if err := b.run(ctx, note); err != nil {
		return nil, err
	}
	return b.results(), nil
}

// Helm builds helm and returns its path.
func Helm(ctx context.Context, root string, note func(string)) (string, error) {
	b := goBuild{name: "helm", in: root, modfile: "tools/go.mod", ldflags: "-s -w", packages: []string{"helm.sh/helm/v4/cmd/helm"}}
	if err := b.versioned(ctx, "helm", "helm.sh/helm/v4"); err != nil {
		return "", err
	}
	return b.results()[0], b.run(ctx, note)
}

// goBuild builds packages into a folder of the cache, each once.
type goBuild struct {
	name     string
	in       string // working folder
	modfile  string // instead of the module of in
	out      string
	ldflags  string
	packages []string
}

// versioned sets out to a folder named after the version of a module.
func (b *goBuild) versioned(ctx context.Context, folder, module string) error {
	cache, err := Cache()
	if err != nil {
		return err
	}
	cmd := b.command(ctx, "list", "-m", "-f", "{{.Version}}", module)
	cmd.Stdout = nil
	version, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("build %s: version of %s: %w", b.name, module, err)
	}
	b.out = filepath.Join(cache, folder, strings.TrimSpace(string(version)), runtime.GOOS+"-"+runtime.GOARCH)
	return nil
}

func (b *goBuild) results() []string {
	var paths []string
	for _, p := range b.packages {
		paths = append(paths, filepath.Join(b.out, path.Base(p)))
	}
	return paths
}

func (b *goBuild) missing() []string {
	var list []string
	for i, result := range b.results() {
		if _, err := os.Stat(result); errors.Is(err, fs.ErrNotExist) {
			list = append(list, b.packages[i])
		}
	}
	return list
}

func (b *goBuild) run(ctx context.Context, note func(string)) error {
	if len(b.missing()) == 0 {
		return nil
	}
	unlock, err := lock(b.out)
	if err != nil {
		return fmt.Errorf("build %s: %w", b.name, err)
	}
	defer unlock()
	for _, pkg := range b.missing() { // again: another process may have built them while we waited
		note(path.Base(pkg))
		if err := b.one(ctx, pkg, note); err != nil {
			return fmt.Errorf("build %s: %w", b.name, err)
		}
	}
	return nil
}

// one builds one program under another name first: what has the right name is whole.
func (b *goBuild) one(ctx context.Context, pkg string, note func(string)) error {
	result := filepath.Join(b.out, path.Base(pkg))
	unfinished := result + ".unfinished"
	cmd := b.command(ctx, "build", "-v", "-ldflags", b.ldflags, "-o", unfinished, pkg)
	said, err := follow(cmd, func(line string) { note(path.Base(pkg) + ": " + line) })
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", pkg, err, said)
	}
	return os.Rename(unfinished, result)
}

func (b *goBuild) command(ctx context.Context, verb string, args ...string) *exec.Cmd {
	if b.modfile != "" {
		args = append([]string{"-modfile=" + b.modfile}, args...)
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{verb}, args...)...)
	cmd.Dir = b.in
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return cmd
}

// follow runs a command, hands each line it writes to line, and returns the last of them for a message.
func follow(cmd *exec.Cmd, line func(string)) (string, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return "", err
	}
	var last []string
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		line(scanner.Text())
		last = append(last, scanner.Text())
		last = last[max(0, len(last)-20):]
	}
	return strings.Join(last, "\n"), cmd.Wait()
}

// Debian installs what is missing from Debian.
func Debian(ctx context.Context, root string, note func(string)) error {
	cmd := exec.CommandContext(ctx, filepath.Join(root, ".ci/deps"))
	said, err := follow(cmd, note)
	if err != nil {
		return fmt.Errorf("install from Debian: %w\n%s", err, said)
	}
	return nil
}
