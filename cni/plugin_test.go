package cni_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// build makes the plugin as it is shipped: static.
func build(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "heddle")
	cmd := exec.Command("go", "build", "-o", out, "github.com/heddle-net/heddle/cmd/heddle-cni")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// run starts the plugin and returns what it prints.
func run(binary, config string, env map[string]string) (string, error) {
	cmd := exec.Command(binary)
	cmd.Stdin = strings.NewReader(config)
	cmd.Env = []string{}
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.Output()
	return string(out), err
}

func TestInvalidRequests(t *testing.T) {
	binary := build(t)
	cases, err := txtar.ParseFile("testdata/invalid.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases.Files {
		t.Run(c.Name, func(t *testing.T) {
			env := map[string]string{
				"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_NETNS": "/run/netns/pod", "CNI_IFNAME": "eth0", "CNI_PATH": "/opt/cni/bin",
				"CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_UID=u",
			}
			request, want, _ := strings.Cut(strings.TrimSpace(string(c.Data)), "\n=> ")
			for strings.HasPrefix(request, "CNI_") {
				var line string
				line, request, _ = strings.Cut(request, "\n")
				k, v, _ := strings.Cut(line, "=")
				env[k] = v
			}
			out, err := run(binary, request, env)
			if err == nil {
				t.Fatalf("accepted: %s", out)
			}
			var got struct {
				Code int
				Msg  string
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if text := fmt.Sprintf("%d: %s", got.Code, got.Msg); text != want {
				t.Errorf("\n got %s\nwant %s", text, want)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	out, err := run(build(t), "", map[string]string{"CNI_COMMAND": "VERSION"})
	if want := `{"cniVersion":"1.1.0","supportedVersions":["0.3.1","0.4.0","1.0.0","1.1.0"]}` + "\n"; err != nil || out != want {
		t.Errorf("got %s, %v, want %s", out, err, want)
	}
}

// TestPluginIsThin keeps out of the plugin what makes it slow to start, and what could start processes.
func TestPluginIsThin(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "github.com/heddle-net/heddle/cmd/heddle-cni").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		for _, heavy := range []string{"os/exec", "net/http", "k8s.io/", "sigs.k8s.io/", "libovsdb", "vishvananda/netlink", "heddle/daemon", "heddle/ovs"} {
			if dep == heavy || strings.Contains(dep, heavy) && strings.Contains(heavy, "/") {
				t.Errorf("the plugin imports %s", dep)
			}
		}
	}
}
