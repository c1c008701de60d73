package controlplane

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// holderEnv makes the test binary start a control plane, tell where it is, and hang.
const holderEnv = "HEDDLE_TEST_CONTROLPLANE_HOLDER"

func TestMain(m *testing.M) {
	if os.Getenv(holderEnv) != "" {
		hold()
	}
	os.Exit(m.Run())
}

func TestStartServesAndStops(t *testing.T) {
	began := time.Now()
	c := ForTest(t, Options{})
	t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))

	createPod(t, c.Config(), "one")
	for _, program := range []string{"kube-apiserver", "etcd"} {
		if err := c.Restart(t.Context(), program); err != nil {
			t.Fatal(err)
		}
		if _, err := pods(t, c.Config()).Get(t.Context(), "one", metav1.GetOptions{}); err != nil {
			t.Errorf("after a restart of %s: %v", program, err)
		}
	}
}

func TestStopLeavesNothing(t *testing.T) {
	c := ForTest(t, Options{})
	dir := c.Dir()
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	assertGone(t, dir)
}

func TestTwoSideBySide(t *testing.T) {
	a, b := ForTest(t, Options{}), ForTest(t, Options{})
	createPod(t, a.Config(), "only-in-a")
	list, err := pods(t, b.Config()).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 0 {
		t.Errorf("the second control plane shows %d Pods of the first", len(list.Items))
	}
}

func TestStartTellsWhyItFailed(t *testing.T) {
	ForTest(t, Options{}) // skips where nothing can run
	_, err := Start(t.Context(), Options{APIServerArgs: []string{"--no-such-flag"}})
	if err == nil || !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Errorf("got %v, want kube-apiserver's own words", err)
	}
}

// TestKilledOwnerLeavesNothing kills the process that started a control plane, as kill -9 of a test
// does, and expects the programs to end and the next start to remove the folder.
func TestKilledOwnerLeavesNothing(t *testing.T) {
	ForTest(t, Options{})
	owner := exec.Command("/proc/self/exe")
	owner.Env = append(os.Environ(), holderEnv+"=1")
	owner.Stderr = os.Stderr
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	dir, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_ = owner.Process.Kill()
	_ = owner.Wait()
	waitNoProcess(t, strings.TrimSpace(dir))
	if err := sweepScratch(); err != nil {
		t.Fatal(err)
	}
	assertGone(t, strings.TrimSpace(dir))
}

func hold() {
	c, err := Start(context.Background(), Options{})
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString(c.Dir() + "\n")
	select {} // until killed
}

func createPod(t *testing.T, config *rest.Config, name string) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "pause", Image: "pause"}}},
	}
	if _, err := pods(t, config).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func pods(t *testing.T, config *rest.Config) interface {
	Create(context.Context, *corev1.Pod, metav1.CreateOptions) (*corev1.Pod, error)
	Get(context.Context, string, metav1.GetOptions) (*corev1.Pod, error)
	List(context.Context, metav1.ListOptions) (*corev1.PodList, error)
} {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client.CoreV1().Pods("default")
}

func assertGone(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("folder %s is still there (%v)", dir, err)
	}
	if left := processesOf(t, dir); left != "" {
		t.Errorf("still running:\n%s", left)
	}
}

// waitNoProcess waits, by pidfds, for the end of the processes that name a folder in their arguments.
func waitNoProcess(t *testing.T, dir string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for _, line := range strings.Split(processesOf(t, dir), "\n") {
		if pid, _, ok := strings.Cut(line, " "); ok {
			waitExit(t, pid, deadline)
		}
	}
}

func processesOf(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("pgrep", "--list-full", "--full", "--", "="+dir).Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) { // 1: there is none (pgrep(1))
		t.Fatal(err)
	}
	return string(out)
}
