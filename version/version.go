// Package version holds what the linker stamps into every Heddle binary.
package version

import "fmt"

// Version and Commit are set by -ldflags "-X …" in the Makefile.
var (
	Version = "dev"
	Commit  = "unknown"
)

// String is what --version prints.
func String() string { return fmt.Sprintf("%s (commit %s)", Version, Commit) }
