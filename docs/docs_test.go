package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-net/heddle/docs"
)

const root = ".."

func pages(t *testing.T) []docs.Page {
	t.Helper()
	list, err := docs.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// source is the text of files of the repository, one after the other.
func source(t *testing.T, patterns ...string) string {
	t.Helper()
	var text strings.Builder
	for _, pattern := range patterns {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no file (%v)", pattern, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(data)
		}
	}
	return text.String()
}

// find gives what the expression's first group matches.
func find(expression, text string) []string {
	var found []string
	for _, m := range regexp.MustCompile(expression).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// TestLinks follows every link between files, to the heading.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		for _, link := range find(`\]\(([^)\s]+)\)`, page.Prose()) {
			if strings.HasPrefix(link, "http") {
				continue
			}
			path, heading, _ := strings.Cut(link, "#")
			target := filepath.Join(root, page.Path)
			if path != "" {
				target = filepath.Join(root, filepath.Dir(page.Path), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s: %v", page.Path, link, err)
			} else if heading != "" && !slices.Contains(headings(t, target), heading) {
				t.Errorf("%s: %s: there is no such heading", page.Path, link)
			}
		}
	}
}

// headings are the anchors of a page: lower case, no punctuation, hyphens for blanks.
func headings(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	anchors := find(`(?m)^#+ (.*)$`, string(text))
	for i, a := range anchors {
		a = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(a), "")
		anchors[i] = strings.ReplaceAll(a, " ", "-")
	}
	return anchors
}

// TestPaths shows that files and folders which the pages name are there.
func TestPaths(t *testing.T) {
	for _, page := range pages(t) {
		for _, path := range find("`((?:charts|cmd|cni|controller|crds|daemon|dist|docs|e2e|image|ovs|tools|version|\\.ci)/[^`*$ ]+)`", page.Prose()) {
			if strings.HasPrefix(path, "dist/") {
				continue // made by make
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s: %v", page.Path, err)
			}
		}
	}
}

// foreignFlags belong to other programs.
var foreignFlags = []string{"--service-cluster-ip-range", "--node-ip", "--set"}

// TestFlags shows that every flag which is named in the text is one of Heddle's programs.
func TestFlags(t *testing.T) {
	known := foreignFlags
	for _, program := range []string{"heddle-controller", "heddle-daemon", "kubectl-heddle mirror"} {
		cmd := exec.Command("go", append([]string{"run"}, strings.Fields("./cmd/"+program+" --help")...)...)
		cmd.Dir = root
		said, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s --help: %v\n%s", program, err, said)
		}
		for _, flag := range find(`(?m)^ +(?:-\w, )?--?([a-z][-a-z0-9]*)`, string(said)) {
			known = append(known, "--"+flag)
		}
	}
	seen := 0
	for _, page := range pages(t) {
		for _, flag := range find("`(--[a-z][-a-z0-9]*)", page.Prose()) {
			seen++
			if !slices.Contains(known, flag) {
				t.Errorf("%s: no program has the flag %s", page.Path, flag)
			}
		}
	}
	if seen == 0 {
		t.Error("no page names a flag: the expression is wrong")
	}
}

// TestMetrics shows that operations.md lists the metrics that there are, all of them, and no page another one.
func TestMetrics(t *testing.T) {
	registered := find(`"(heddle_[a-z_]+)"`, source(t, "controller/report/metrics.go", "daemon/*.go"))
	for _, page := range pages(t) {
		named := find("`(heddle_[a-z_]+)`", page.Prose())
		for _, metric := range named {
			if !slices.Contains(registered, metric) {
				t.Errorf("%s: there is no metric %s", page.Path, metric)
			}
		}
		if page.Path == "docs/operations.md" && !slices.Equal(named, registered) {
			t.Errorf("%s lists %q, there are %q", page.Path, named, registered)
		}
	}
}

// TestKeys shows that annotations, labels and finalizers are written as in the API.
func TestKeys(t *testing.T) {
	code := source(t, "crds/v1/annotations.go", "crds/v1/loadbalancer.go", "daemon/lease.go", "controller/decide/ledger.go", "ovs/nb/columns.go", "ovs/nb/commit.go")
	known := find(`"((?:kubeovn\.io|heddle\.dev|heddle-)[-a-z0-9_/]+)"`, code)
	for _, name := range find(`AnnotationPrefix \+ "([-a-z_]+)"`, code) {
		known = append(known, "ovn.kubernetes.io/"+name)
	}
	for _, page := range pages(t) {
		text := strings.ReplaceAll(page.Text, `\.`, ".")
		for _, key := range find(`\b((?:ovn\.kubernetes\.io|kubeovn\.io|heddle\.dev)/[-a-z0-9_]*[a-z0-9])`, text) {
			if key != "kubeovn.io/v1" && key != "heddle.dev/v1alpha1" && !slices.Contains(known, key) {
				t.Errorf("%s: there is no key %s", page.Path, key)
			}
		}
	}
}

// TestReasons shows that subnets.md explains every reason of a condition, and addresses.md every Event.
func TestReasons(t *testing.T) {
	conditions := source(t, "controller/compile/compile.go", "controller/decide/subnet.go", "controller/engine/session.go", "ovs/nb/plan.go")
	events := source(t, "controller/decide/address.go")
	const constant = `(?m)^(?:const|\s)\s*[rR]eason\w+ += "(\w+)"`
	for path, want := range map[string][]string{
		"docs/subnets.md": find(constant, conditions), "docs/addresses.md": find(constant, events),
	} {
		page := docs.Page{}
		for _, p := range pages(t) {
			if p.Path == path {
				page = p
			}
		}
		for _, reason := range want {
			if !strings.Contains(page.Prose(), "`"+reason+"`") {
				t.Errorf("%s does not explain %s", path, reason)
			}
		}
		for _, reason := range find("(?m)^\\| `([A-Z]\\w+)`", page.Prose()) {
			if !slices.Contains(want, reason) {
				t.Errorf("%s explains %s, which is no reason", path, reason)
			}
		}
	}
}
