package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/heddle-net/heddle/crds/heddle"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/e2e/sandbox/build"
	"github.com/heddle-net/heddle/e2e/sandbox/cluster"
	"github.com/heddle-net/heddle/e2e/sandbox/progress"
)

// sandboxVariable names a sandbox to use, which then stays.
const sandboxVariable = "HEDDLE_SANDBOX"

// timeLimit is for whatever a test waits for: many times what it takes on an idle machine.
const timeLimit = 90 * time.Second

// env is the cluster that tests run in.
type env struct {
	*cluster.Cluster
	client    client.WithWatch
	explained sync.Map // by name of the test
}

// shared makes the cluster for the first test that asks.
var shared = sync.OnceValues(func() (*env, error) {
	if name := os.Getenv(sandboxVariable); name != "" {
		c, err := cluster.Open(name)
		if err != nil {
			return nil, err
		}
		return newEnv(c)
	}
	return makeCluster("e2e", 2, true)
})

func TestMain(m *testing.M) {
	status := m.Run()
	if err := allAgree(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	for _, name := range made {
		if err := cluster.Down(name, progress.New(os.Stdout)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}

// used is the cluster that the tests shared, if any did.
var used *env

// allAgree audits the cluster after all tests: nothing of theirs may be left over.
func allAgree() error {
	if used == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeLimit)
	defer cancel()
	// What the databases and the nodes have still to hear from each other arrives before this returns.
	if _, err := inCentral(ctx, used.Cluster, "nb", "ovn-nbctl", "--wait=hv", "sync"); err != nil {
		return err
	}
	w, err := readWorld(ctx, used.Cluster, used.client)
	if err != nil {
		return err
	}
	if problems := w.audit(); len(problems) > 0 {
		return fmt.Errorf("after all tests, the cluster does not agree with itself:\n%s", strings.Join(problems, "\n"))
	}
	return nil
}

// made are the sandboxes to remove in the end.
var made []string

// use is what every test begins with.
func use(t *testing.T) *env {
	t.Helper()
	if err := cluster.Preflight(); err != nil {
		t.Skip(err)
	}
	e, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	used = e
	return e
}

// makeCluster makes a sandbox, or what is missing of one that this run has made.
func makeCluster(name string, nodes int, heddle bool, helmArgs ...string) (*env, error) {
	root, err := build.Root()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "heddle-e2e-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder) // Up has copied the program
	program := filepath.Join(folder, "sandbox")
	cmd := exec.Command("go", "build", "-o", program, "./e2e/sandbox")
	cmd.Dir = root
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the sandbox: %w\n%s", err, said)
	}
	p := progress.New(os.Stdout)
	if !slices.Contains(made, name) {
		if err := cluster.Down(name, p); err != nil { // what a killed run has left
			return nil, err
		}
		made = append(made, name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute) // most of it for a first build
	defer cancel()
	c, err := cluster.Up(ctx, cluster.Options{
		Name: name, Nodes: nodes, Heddle: heddle, HeddleImage: heddleImage(root), HelmArgs: helmArgs, Program: program, Root: root,
	}, p)
	if err != nil {
		return nil, err
	}
	return newEnv(c)
}

func heddleImage(root string) string { return filepath.Join(root, "dist", "heddle-image.tar") }

func newEnv(c *cluster.Cluster) (*env, error) {
	config, err := c.Config()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1.AddToScheme(scheme), heddle.AddToScheme(scheme), v1alpha1.Install(scheme), v1alpha2.Install(scheme)); err != nil {
		return nil, err
	}
	w, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	return &env{Cluster: c, client: w}, err
}

// kubectl runs kubectl and returns what it writes.
func (e *env) kubectl(t testing.TB, args ...string) string {
	t.Helper()
	said, err := e.Kubectl(t.Context(), "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// run runs a command in a machine of the sandbox and returns what it writes.
func (e *env) run(t testing.TB, machine string, args ...string) string {
	t.Helper()
	said, err := e.Run(t.Context(), machine, args...)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// nbctl and sbctl ask OVN's databases.
func (e *env) nbctl(t testing.TB, args ...string) string {
	t.Helper()
	return e.kubectl(t, append([]string{"-n", "kube-system", "exec", "deploy/heddle-ovn-central", "-c", "nb", "--", "ovn-nbctl"}, args...)...)
}

func (e *env) sbctl(t testing.TB, args ...string) string {
	t.Helper()
	return e.kubectl(t, append([]string{"-n", "kube-system", "exec", "deploy/heddle-ovn-central", "-c", "sb", "--", "ovn-sbctl"}, args...)...)
}

// inForce returns when each node has what the northbound database has now. Conditions are about the database.
func (e *env) inForce(t testing.TB) {
	t.Helper()
	e.nbctl(t, "--timeout=90", "--wait=hv", "sync")
}

// explain writes, after a failure, what a human asks first into a file, before the first object of the test is removed: the test's own lines
// stay readable.
func (e *env) explain(t testing.TB, obj client.Object) {
	if !t.Failed() {
		return
	}
	if _, again := e.explained.LoadOrStore(t.Name(), true); again {
		return
	}
	namespace := obj.GetNamespace()
	if namespace == "" {
		namespace = "--all-namespaces"
	} else {
		namespace = "--namespace=" + namespace
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var out strings.Builder
	for _, args := range [][]string{
		{"describe", "pods", namespace},
		{"get", "events", namespace},
		{"get", "subnets,ips", "-o", "wide"},
		{"-n", "kube-system", "get", "pods", "-o", "wide"},
		{"-n", "kube-system", "exec", "deploy/heddle-ovn-central", "-c", "nb", "--", "ovn-nbctl", "show"},
	} {
		said, err := e.Kubectl(ctx, "", args...)
		if err != nil {
			said = err.Error()
		}
		fmt.Fprintf(&out, "$ kubectl %s\n%s\n", strings.Join(args, " "), said)
	}
	file := filepath.Join("..", "dist", "explained", strings.ReplaceAll(t.Name(), "/", "-")+".txt")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(out.String()), 0o644)); err != nil {
		t.Error(err)
	}
	t.Logf("the cluster's state is in %s", file)
}
