package kernel

import (
	"strings"
	"testing"
)

// TestResults: a guest that dies, a package that never came to its end, and one of which no test ran are no success.
func TestResults(t *testing.T) {
	const begins = "guest: up 6.12\nguest: package p\n\x16=== RUN   TestA\n"
	for _, c := range []struct{ name, said, pkg, test string }{
		{"all is well", begins + "\x16--- PASS: TestA (0.10s)\n\x16=== NAME  \nPASS\nguest: exit 0\nguest: end\n", "", ""},
		{"a test fails", begins + "\x16--- FAIL: TestA (0.10s)\n\x16=== NAME  \nFAIL\nguest: exit 1\nguest: end\n", "exit code 1", "failed in the guest"},
		{"a test is skipped", begins + "\x16--- SKIP: TestA (0.10s)\n\x16=== NAME  \nPASS\nguest: exit 0\nguest: end\n", "", "skipped: in the guest nothing may be"},
		{"the test binary dies", begins + "guest: exit 137\nguest: end\n", "exit code 137", "it did not end"},
		{"the guest dies", begins, "it did not end", "it did not end"},
		{"no test", "guest: up 6.12\nguest: package p\ntesting: warning: no tests to run\nPASS\nguest: exit 0\nguest: end\n", noTest, ""},
	} {
		var r results
		for line := range strings.Lines(c.said) {
			r.line(strings.TrimSuffix(line, "\n"))
		}
		o := r.of("p")
		whole, err := o.tests()
		if err != nil {
			t.Fatal(err)
		}
		if got := o.wrong(whole); got != c.pkg {
			t.Errorf("%s: the package: %q, want %q", c.name, got, c.pkg)
		}
		if r.nothing() != (c.pkg == noTest) || r.ended != strings.HasSuffix(c.said, "guest: end\n") {
			t.Errorf("%s: nothing ran: %t, ended: %t", c.name, r.nothing(), r.ended)
		}
		for _, s := range whole.sub {
			if got := s.wrong(); got != c.test {
				t.Errorf("%s: %s: %q, want %q", c.name, s.name, got, c.test)
			}
		}
	}
}
