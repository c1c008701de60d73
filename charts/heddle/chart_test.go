package heddle

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/diff"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// helmPath builds helm when it is not cached, which takes minutes, and tells where it is.
var helmPath = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "tool", "-modfile=../../tools/go.mod", "-n", "helm").Output()
	return strings.TrimSpace(string(out)), err
})

// helm runs helm with values, given as YAML, and returns what it prints, with the error when it fails.
func helm(t *testing.T, values string, args ...string) (string, error) {
	t.Helper()
	path, err := helmPath()
	if err != nil {
		t.Fatalf("build helm: %v", err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(values), &stdout, &stderr
	home := t.TempDir() // no configuration, cache or plugins of the user
	cmd.Env = append(os.Environ(), "HELM_CONFIG_HOME="+home, "HELM_CACHE_HOME="+home, "HELM_DATA_HOME="+home)
	if err := cmd.Run(); err != nil {
		return stderr.String(), err
	}
	return stdout.String(), nil
}

// render is the chart at dir with values.
func render(t *testing.T, dir, values string) string {
	t.Helper()
	out, err := helm(t, values, "template", "heddle", dir, "--namespace=kube-system", "--values=-")
	if err != nil {
		t.Fatal(out)
	}
	return out
}

var unsteady = regexp.MustCompile(`(?m)^( +(?:ca\.crt|tls\.crt|tls\.key|heddle\.net/renew-after): ).+$`)

// golden is a rendering without what differs each time, and without the CRDs, which have a test of their own.
func golden(t *testing.T, values string) string {
	t.Helper()
	return unsteady.ReplaceAllString(render(t, ".", "crds: {install: false}\n"+values), "${1}…")
}

func TestLint(t *testing.T) {
	if out, err := helm(t, "", "lint", "--strict", "."); err != nil {
		t.Error(out)
	}
}

// TestGolden compares the default as a whole, and each set of values in testdata by the difference that it makes.
func TestGolden(t *testing.T) {
	base := golden(t, "")
	t.Run("default", func(t *testing.T) { compare(t, "testdata/default.yaml", []byte(base)) })
	sets, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(sets) == 0 {
		t.Fatalf("testdata: %v, %v", sets, err)
	}
	for _, path := range sets {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := golden(t, string(archive.Files[0].Data))
			archive.Files = []txtar.File{archive.Files[0], {Name: "diff", Data: diff.Diff("default", []byte(base), "values", []byte(got))}}
			compare(t, path, txtar.Format(archive))
		})
	}
}

func compare(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := diff.Diff(path, want, "rendered", got); d != nil {
		t.Errorf("run with -update and read the diff\n%s", d)
	}
}

// TestCRDsAreThoseOfTheAPI: the chart carries a copy, which make generate makes.
func TestCRDsAreThoseOfTheAPI(t *testing.T) {
	want, err := filepath.Glob("../../crds/manifests/*.yaml")
	if err != nil || len(want) == 0 {
		t.Fatalf("crds/manifests: %v, %v", want, err)
	}
	have, err := filepath.Glob("files/crds/*.yaml")
	if err != nil || len(have) != len(want) {
		t.Errorf("the chart has %d CRDs, the API %d: run make generate", len(have), len(want))
	}
	for _, path := range want {
		a, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join("files/crds", filepath.Base(path)))
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("files/crds/%s is not crds/manifests' (%v): run make generate", filepath.Base(path), err)
		}
	}
}

// TestUpgradeLeavesOpenVSwitchAlone: a newer chart, and another Heddle image, give the same Pods of heddle-ovs.
func TestUpgradeLeavesOpenVSwitchAlone(t *testing.T) {
	newer := filepath.Join(t.TempDir(), "heddle")
	if err := os.CopyFS(newer, os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	chart, err := os.ReadFile("Chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	chart = regexp.MustCompile(`(?m)^(version|appVersion): .*$`).ReplaceAll(chart, []byte("$1: 9.9.9"))
	if err := os.WriteFile(filepath.Join(newer, "Chart.yaml"), chart, 0o644); err != nil {
		t.Fatal(err)
	}
	values := "image: {tag: other}\ndaemon: {logLevel: 3}\nnetwork: {mtu: 1300}\n"
	before, after := render(t, ".", ""), render(t, newer, values)
	if before == after {
		t.Fatal("the newer chart renders the same")
	}
	for _, name := range []string{"heddle-ovs", "heddle-ovn-central"} {
		a, b := podTemplate(t, before, name), podTemplate(t, after, name)
		if d := diff.Diff("before", a, "after", b); d != nil {
			t.Errorf("%s would restart\n%s", name, d)
		}
	}
}
