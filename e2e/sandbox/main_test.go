package main

import (
	"errors"
	"fmt"
	"os/exec"
	"testing"
)

// TestReport: only a command that the user ran in a shell has spoken itself.
func TestReport(t *testing.T) {
	var exit *exec.ExitError
	if !errors.As(exec.Command("sh", "-c", "exit 3").Run(), &exit) {
		t.Fatal("the shell did not end with a status")
	}
	for want, err := range map[int]error{3: spoken{exit}, 1: fmt.Errorf("helm: %w", exit)} {
		if got := report(err); got != want {
			t.Errorf("%v: status %d, want %d", err, got, want)
		}
	}
}
