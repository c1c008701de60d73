package controlplane

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/heddle-net/heddle/e2e/sandbox/build"
)

// ForTest starts a control plane that ends with the test. It skips the test where the programs are
// missing.
func ForTest(tb testing.TB, o Options) *ControlPlane {
	tb.Helper()
	if _, err := os.Stat(Etcd); err != nil {
		tb.Skipf("needs %s: run `make deps`", Etcd)
	}
	if _, err := build.Program("kube-apiserver"); err != nil {
		tb.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c, err := Start(ctx, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return c
}
