package kernel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// results are what the guest has said so far.
type results struct {
	packages []*output
	inside   bool // of the last of packages
	ended    bool
}

// output is what one test binary wrote, and how it ended.
type output struct {
	pkg  string
	text strings.Builder
	exit int // -1 while it runs
	// Of this machine, whose clock is not the guest's.
	began time.Time
	took  time.Duration
}

// line takes what the guest says.
func (r *results) line(text string) {
	said, fromInit := strings.CutPrefix(text, "guest: ")
	word, value, _ := strings.Cut(said, " ")
	switch {
	case fromInit && word == "package":
		r.packages, r.inside = append(r.packages, &output{pkg: value, exit: -1, began: time.Now()}), true
	case fromInit && word == "exit" && r.inside:
		last := r.packages[len(r.packages)-1]
		last.exit, last.took, r.inside = number(value), time.Since(last.began), false
	case fromInit && word == "end":
		r.ended = true
	case r.inside:
		fmt.Fprintln(&r.packages[len(r.packages)-1].text, text)
	}
}

// number of an exit code; what cannot be read is no success.
func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 1
	}
	return n
}

// of is the output of a package, nil when it did not run.
func (r *results) of(pkg string) *output {
	for _, o := range r.packages {
		if o.pkg == pkg {
			return o
		}
	}
	return nil
}

// nothing says that no test has begun.
func (r *results) nothing() bool {
	for _, o := range r.packages {
		if strings.Contains(o.text.String(), "=== RUN ") {
			return false
		}
	}
	return true
}

// noTest is what is wrong with a package of which nothing runs.
const noTest = "no test ran"

// wrong says why a package is no success, whatever its tests say; empty when it is one.
func (o *output) wrong(whole *test) string {
	switch {
	case o.exit < 0:
		return "it did not end"
	case o.exit > 0:
		return fmt.Sprintf("exit code %d", o.exit)
	case len(whole.sub) == 0:
		return noTest
	}
	return ""
}

// wrong says why a test is no success.
func (t *test) wrong() string {
	switch {
	case t.action == "skip":
		return "skipped: in the guest nothing may be"
	case t.action == "fail":
		return "failed in the guest"
	case t.action == "" && len(t.sub) == 0: // else it may be half of a name with a slash; the package tells
		return "it did not end"
	}
	return ""
}

// test is one test of a package with its subtests. The package itself is a test without a name.
type test struct {
	name   string
	action string // how it ended: pass, fail, skip, or empty when it did not
	text   strings.Builder
	sub    []*test
}

// tests reads the output of a test binary by Go's own tool.
func (o *output) tests() (*test, error) {
	cmd := exec.Command("go", "tool", "test2json")
	cmd.Stdin = strings.NewReader(o.text.String())
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go tool test2json: %w", err)
	}
	whole := &test{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var event struct{ Action, Test, Output string }
		if err := d.Decode(&event); errors.Is(err, io.EOF) {
			return whole, nil
		} else if err != nil {
			return nil, fmt.Errorf("go tool test2json: %w", err)
		}
		t := whole.find(event.Test)
		switch event.Action {
		case "output":
			t.text.WriteString(event.Output)
		case "pass", "fail", "skip":
			t.action = event.Action
		}
	}
}

// find returns the test of that path, and makes it if need be. A slash in a test's name is as good as a subtest.
func (t *test) find(path string) *test {
	if path == "" {
		return t
	}
	name, rest, _ := strings.Cut(path, "/")
	for _, s := range t.sub {
		if s.name == name {
			return s.find(rest)
		}
	}
	s := &test{name: name}
	t.sub = append(t.sub, s)
	return s.find(rest)
}
