package heddle

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestProgramsKnowTheirFlags starts the real programs with the arguments that the chart gives them, and --version.
func TestProgramsKnowTheirFlags(t *testing.T) {
	bin := t.TempDir()
	for _, program := range []string{"heddle-controller", "heddle-daemon"} {
		if out, err := exec.Command("go", "build", "-o", bin, "../../cmd/"+program).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	values := "network: {mtu: 1300, defaultSubnet: {cidr: '10.16.0.0/16,fd00:10:16::/112'}, serviceCidr: '10.96.0.0/12,fd00:10:96::/112'}\n"
	tried := 0
	for _, more := range []string{"", "metrics: {enabled: false}\nnetwork: {datapath: netdev, encapType: vxlan}", "teardown: true"} {
		if more == "" {
			more = values
		}
		for name, template := range templates(t, render(t, ".", more)) {
			for _, c := range slices.Concat(template.Spec.InitContainers, template.Spec.Containers) {
				tried += runVersion(t, bin, name, c)
			}
		}
	}
	if tried != 5 {
		t.Errorf("tried %d containers, want 5", tried)
	}
}

// runVersion runs a container's program, if it is one of Heddle's in Go, and returns 1 if it did.
func runVersion(t *testing.T, bin, workload string, c corev1.Container) int {
	t.Helper()
	i := slices.IndexFunc(c.Command, func(s string) bool { return s == "heddle-controller" || s == "heddle-daemon" })
	if i < 0 {
		return 0
	}
	program, args := c.Command[i], slices.Concat(c.Command[i+1:], c.Args, []string{"--version"})
	out, err := exec.Command(filepath.Join(bin, program), args...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), program) {
		t.Errorf("%s: %s %s: %v\n%s", workload, program, args, err, out)
	}
	return 1
}
