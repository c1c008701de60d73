package cluster

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestMachinesAreSortedByNumber(t *testing.T) {
	c := &Cluster{Name: "test", dir: t.TempDir()}
	for _, name := range []string{"router", "heddle-10", "outside-1", "heddle-2", "control", "heddle-1"} {
		if err := os.MkdirAll(c.machineDir(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := c.Nodes(), []string{"heddle-1", "heddle-2", "heddle-10"}; !slices.Equal(got, want) {
		t.Errorf("nodes are %v, want %v", got, want)
	}
	if got := c.next(nodePrefix); got != "heddle-3" {
		t.Errorf("the next node is %s", got)
	}
}

func TestNamesOfMachines(t *testing.T) {
	c := &Cluster{}
	for name, want := range map[string]string{
		"router": "192.0.2.1", "control": "192.0.2.5", "heddle-1": "192.0.2.11", "outside-2": "198.51.100.12",
		"heddle-": "", "heddle-01": "", "heddle-1x": "", "heddle-300": "", "other": "",
	} {
		addresses, err := c.Addresses(name)
		if (err == nil) != (want != "") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err == nil && addresses[0].String() != want {
			t.Errorf("%s has %v, want %s", name, addresses, want)
		}
	}
}

func TestNamesOfSandboxes(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for name, valid := range map[string]bool{
		"default": true, "a": true, "two-2": true, "": false, "..": false, "a/b": false, "Upper": false, "-a": false, strings.Repeat("a", 33): false,
	} {
		if _, err := locate(name); (err == nil) != valid {
			t.Errorf("name %q: %v, want valid %v", name, err, valid)
		}
	}
	if _, err := Open("none"); err == nil || !strings.Contains(err.Error(), "make sandbox") {
		t.Errorf("Open of a sandbox that is not there: %v", err)
	}
}

func TestDownKeepsWhatIsNotOfTheSandbox(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	repository := t.TempDir()
	other := filepath.Join(repository, ".sandbox", "kubeconfig")
	if err := os.MkdirAll(filepath.Dir(other), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := locate("second")
	if err != nil {
		t.Fatal(err)
	}
	c.facts = facts{Repository: repository}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.writeFacts(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Kubeconfig(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.remove(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{other: true, c.Kubeconfig(): false, c.dir: false} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", path, err, want)
		}
	}
}

func TestWhyPod(t *testing.T) {
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImageNeverPull", Message: "no image"}}
	unscheduled := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "no node fits"}
	for want, status := range map[string]corev1.PodStatus{
		"": {ContainerStatuses: []corev1.ContainerStatus{{Name: "a", Ready: true}}},
		"container b: ErrImageNeverPull no image": {ContainerStatuses: []corev1.ContainerStatus{{Name: "a", Ready: true}, {Name: "b", State: waiting}}},
		"no node fits": {Conditions: []corev1.PodCondition{unscheduled}},
	} {
		if got := whyPod(&corev1.Pod{Status: status}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
