package heddle

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	block   = regexp.MustCompile("(?s)```sh\n(.*?)```")
	heredoc = regexp.MustCompile(`(?s)^(helm [^\n]+) --values - <<END\n(.*?)\nEND\n`)
	inline  = regexp.MustCompile("`([a-zA-Z]+(?:\\.[a-zA-Z]+)+(?:=[^`]*)?)`")
)

// TestInstallPageSetsWhatExists renders the chart with every value that docs/install.md sets, in commands and in tables. Whether the commands do what
// the page says is for e2e.
func TestInstallPageSetsWhatExists(t *testing.T) {
	page, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, b := range block.FindAllStringSubmatch(string(page), -1) {
		text, values := b[1], ""
		if m := heredoc.FindStringSubmatch(text); m != nil {
			text, values = m[1]+" --values -", m[2]
		}
		for line := range strings.Lines(text) {
			if fields := strings.Fields(line); fields[0] == "helm" && fields[1] != "uninstall" {
				commands++
				if out, err := helm(t, values, asTemplate(fields)...); err != nil {
					t.Errorf("%s\n%s", line, out)
				}
			}
		}
	}
	if commands < 7 {
		t.Errorf("found %d helm commands", commands)
	}
	for _, m := range inline.FindAllStringSubmatch(string(page), -1) {
		if key, value, set := strings.Cut(m[1], "="); set && isValue(key) {
			if out, err := helm(t, "", "template", "heddle", ".", "--set="+key+"="+value); err != nil {
				t.Errorf("%s\n%s", m[1], out)
			}
		}
	}
}

// asTemplate keeps of a helm command what sets values.
func asTemplate(fields []string) []string {
	args := []string{"template", "heddle", "."}
	for i, f := range fields {
		if f == "--set" || f == "--values" {
			args = append(args, f, strings.Trim(fields[i+1], `"'`))
		}
	}
	return args
}

// isValue tells the chart's values from annotations and the like.
func isValue(key string) bool {
	return slices.Contains([]string{"image", "apiServer", "network", "cni", "tls", "controller", "daemon", "ovs", "ovnCentral", "metrics", "crds", "teardown"},
		strings.Split(key, ".")[0])
}
