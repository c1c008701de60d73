package api_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestCodesAreDocumented: whoever meets a code in an Event finds it on the page for operators.
func TestCodesAreDocumented(t *testing.T) {
	source, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| code | meaning |")
	table, _, _ = strings.Cut(table, "\n\n")
	codes := regexp.MustCompile(`uint += (\d+)`).FindAllStringSubmatch(string(source), -1)
	if len(codes) < 10 {
		t.Fatalf("found %d codes", len(codes))
	}
	for _, code := range codes {
		if !regexp.MustCompile(`\b` + code[1] + `\b`).MatchString(table) {
			t.Errorf("docs/operations.md does not say what code %s means", code[1])
		}
	}
}
