package docs_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-net/heddle/docs"
)

// elsewhere lists the commands that e2e does not run from the page, by what they begin with, and says who runs them.
var elsewhere = []struct{ command, runs string }{
	{"make ", "CI, and the test below"},
	{`eval "$(go run ./e2e/sandbox kubectl-env)"`, "e2e sets up the same"},
	{"kubectl get subnets,ips,pods -A", "nobody: it shows"},
	{"go run ./e2e/sandbox shell heddle-1 -- ip route", "nobody: it shows, and only a sandbox has the machine"},
	{"helm install heddle charts/heddle --namespace kube-system", "make sandbox, with other values"},
	{"kubectl -n kube-system rollout status daemonset/heddle-daemon", "make sandbox"},
	{"helm upgrade heddle charts/heddle --namespace kube-system --reset-then-reuse-values --set 'controller.extraArgs=", "tried by hand"},
	{"helm upgrade heddle charts/heddle --namespace kube-system --reset-then-reuse-values --set network.nodeLocalDnsIp=", "make sandbox sets the value from the start"},
	{"kubectl -n kube-system exec deploy/heddle-ovn-central -c nb -- sh -c 'rm ", "e2e removes the databases in its own way"},
	{"kubectl -n kube-system exec deploy/heddle-ovn-central -c sb -- sh -c 'rm ", "the same"},
	{"kubectl -n kube-system delete pod -l app.kubernetes.io/component=ovn-central", "the same"},
	{"kubectl -n kube-system debug node/heddle-1 ", "nobody: it shows, and does not end"},
	{"kubectl -n kube-system delete pod -l app.kubernetes.io/managed-by=kubectl-debug", "nobody: it is about the command before"},
	{"go install ./cmd/kubectl-heddle", "make bin builds the same"},
	{"ln -s kubectl-heddle ", "nobody: it changes the reader's PATH"},
	{"kubectl heddle tcpdump web -n blue ", "nobody: it shows, and does not end; e2e has its likes"},
}

// otherPages have their own tests.
var otherPages = []string{"docs/install.md", "docs/performance.md"}

// TestCommands shows that each command on a page is run by somebody, or is on the list above.
func TestCommands(t *testing.T) {
	used := make([]bool, len(elsewhere))
	for _, page := range pages(t) {
		for _, b := range page.Blocks {
			switch {
			case slices.Contains(otherPages, page.Path) || b.Info == docs.Manifest || b.Info == docs.Run || b.Info == docs.Output:
			case b.Info == docs.Command:
				commands(t, page, b, used)
			default:
				t.Errorf("%s:%d: a block of %q has no meaning", page.Path, b.Line, b.Info)
			}
		}
	}
	for i, u := range used {
		if !u {
			t.Errorf("no page has the command %s", elsewhere[i].command)
		}
	}
}

func commands(t *testing.T, page docs.Page, b docs.Block, used []bool) {
	t.Helper()
	for line := range strings.Lines(b.Text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "go test ") || line == "" {
			continue
		}
		i := slices.IndexFunc(elsewhere, func(e struct{ command, runs string }) bool { return strings.HasPrefix(line, e.command) })
		if i < 0 {
			t.Errorf("%s:%d: nobody runs %s", page.Path, b.Line, line)
			continue
		}
		used[i] = true
	}
}

// TestTargets shows that make has every target that a page names.
func TestTargets(t *testing.T) {
	targets := find(`(?m)^([a-z][-a-z0-9]*):`, source(t, "Makefile"))
	for _, page := range pages(t) {
		for _, list := range find("(?m)(?:`|^)make ([-a-z ]+)(?:`|$)", page.Text) {
			for _, target := range strings.Fields(list) {
				if !slices.Contains(targets, target) {
					t.Errorf("%s: make has no target %s", page.Path, target)
				}
			}
		}
	}
}

// TestMissing is about the reader of outputs itself.
func TestMissing(t *testing.T) {
	const got = "NAME   V4IP\nweb.blue   10.33.0.80   a (b)\n"
	for want, ok := range map[string]bool{
		"web.blue 10.33.0.80": true, "web.blue …(b)": true, "web.blue … 10.33.0.81": false, "web-blue": false, "webxblue": false, "NAME … 10.33": false,
	} {
		if missing := docs.Missing(want, got); (len(missing) == 0) != ok {
			t.Errorf("%q: missing %q", want, missing)
		}
	}
	if regexp.MustCompile(`(?m)^…`).MatchString(docs.Missing("web…\nno\n", got)[0]) {
		t.Error("the wrong line")
	}
}
