package build

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKubernetesVersionIsTheModules(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(root, "e2e/sandbox/kube/go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	wanted := []string{"k8s.io/kubernetes " + KubernetesVersion}
	for _, program := range kubernetes {
		wanted = append(wanted, "k8s.io/kubernetes/"+program)
	}
	for _, want := range wanted {
		if !strings.Contains(strings.ReplaceAll(string(data), " // indirect", ""), want+"\n") {
			t.Errorf("e2e/sandbox/kube/go.mod has no line with %s", want)
		}
	}
}

func TestCoreDNSVersionIsTheModules(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(root, "e2e/sandbox/coredns/go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"module " + coreDNS, "github.com/coredns/coredns " + CoreDNSVersion} {
		if !strings.Contains(string(data), want+"\n") {
			t.Errorf("e2e/sandbox/coredns/go.mod has no line with %s", want)
		}
	}
}

func TestOnceLeavesNothingUnfinished(t *testing.T) {
	path := filepath.Join(t.TempDir(), "thing")
	broken := errors.New("broken")
	write := func(result error) func(string) error {
		return func(unfinished string) error {
			return errors.Join(os.WriteFile(unfinished, []byte("text"), 0o600), result)
		}
	}
	if err := Once(path, write(broken)); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	for _, left := range []string{path, path + ".unfinished"} {
		if exists(left) {
			t.Errorf("%s is there after a failure", left)
		}
	}
	if err := Once(path, write(nil)); err != nil {
		t.Fatal(err)
	}
	if err := Once(path, write(broken)); err != nil {
		t.Errorf("it was made twice: %v", err)
	}
}
