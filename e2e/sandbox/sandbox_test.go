package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heddle-net/heddle/e2e/sandbox/build"
	"github.com/heddle-net/heddle/e2e/sandbox/cluster"
	"github.com/heddle-net/heddle/e2e/sandbox/progress"
)

// TestUpDown makes a bare sandbox, uses it as the end-to-end tests do, removes it, and looks for leftovers.
func TestUpDown(t *testing.T) {
	o := options(t, "updown")
	c := makeUp(t, o)
	footprint := takeFootprint(t, c)

	t.Run("Pods", func(t *testing.T) { testPods(t, c) })
	t.Run("Isolation", func(t *testing.T) { testIsolation(t, c) })
	t.Run("Kill", func(t *testing.T) { testKill(t, c) })
	t.Run("AddAndRemoveNode", func(t *testing.T) { testAddAndRemoveNode(t, c) })
	t.Run("UpAgainKeepsMachines", func(t *testing.T) {
		before := inits(t, c)
		makeUp(t, o)
		if after := inits(t, c); !slices.Equal(before, after) {
			t.Errorf("machines' inits were %v and are %v", before, after)
		}
	})

	removeDown(t, o.Name)
	footprint.assertGone(t, c)
	if _, err := os.Stat(c.Kubeconfig()); !os.IsNotExist(err) {
		t.Errorf("kubeconfig is still there (%v)", err)
	}
}

// TestUpAfterAMachineDied kills a node's init, as a reboot would: the next up starts over.
func TestUpAfterAMachineDied(t *testing.T) {
	o := options(t, "died")
	o.Nodes = 1
	c := makeUp(t, o)
	footprint := takeFootprint(t, c)
	m, err := c.Machine("heddle-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Init.Kill(time.Minute); err != nil {
		t.Fatal(err)
	}
	makeUp(t, o)
	footprint.assertProcessesGone(t)
	if m, err = c.Machine("heddle-1"); err != nil || !m.Alive() {
		t.Errorf("heddle-1 does not run (%v)", err)
	}
}

// TestDownAfterKilledUp kills the command while it makes the nodes: down finds what there is.
func TestDownAfterKilledUp(t *testing.T) {
	o := options(t, "killed")
	t.Cleanup(func() { removeDown(t, o.Name) })
	cmd := exec.Command(o.Program, "up", "--no-heddle", "--name="+o.Name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "control plane ") {
		t.Log(lines.Text())
	}
	_ = cmd.Process.Kill()
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	c, err := cluster.Open(o.Name)
	if err != nil {
		t.Fatal(err)
	}
	footprint := takeFootprint(t, c)
	removeDown(t, o.Name)
	footprint.assertGone(t, c)
}

// TestSideBySide runs two sandboxes with the same addresses.
func TestSideBySide(t *testing.T) {
	a, b := options(t, "side-a"), options(t, "side-b")
	a.Nodes, b.Nodes = 1, 1
	first, second := makeUp(t, a), makeUp(t, b)
	removeDown(t, a.Name)
	if said, err := second.Kubectl(t.Context(), "", "get", "node", "heddle-1"); err != nil {
		t.Errorf("the second one, after the first was removed: %v %s", err, said)
	}
	if _, err := cluster.Open(first.Name); err == nil {
		t.Error("the first one is still there")
	}
}

func options(t *testing.T, name string) cluster.Options {
	t.Helper()
	if err := cluster.Preflight(); err != nil {
		t.Skip(err)
	}
	root, err := build.Root()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "sandbox")
	cmd := exec.Command("go", "build", "-o", program, "./e2e/sandbox")
	cmd.Dir = root
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return cluster.Options{Name: fmt.Sprintf("test-%s-%d", name, os.Getpid()), Nodes: 2, Program: program, Root: root}
}

func makeUp(t *testing.T, o cluster.Options) *cluster.Cluster {
	t.Helper()
	t.Cleanup(func() { removeDown(t, o.Name) })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute) // most of it for the first build
	defer cancel()
	c, err := cluster.Up(ctx, o, progress.New(os.Stdout))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func removeDown(t *testing.T, name string) {
	t.Helper()
	if err := cluster.Down(name, progress.New(os.Stdout)); err != nil {
		t.Error(err)
	}
}
