package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-net/heddle/docs"
)

// TestDocs does what the pages tell their readers to do, block by block. Each page cleans up behind itself.
func TestDocs(t *testing.T) {
	t.Parallel()
	pages, err := docs.Read("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if !hasRun(page) {
			continue
		}
		t.Run(filepath.Base(page.Path), func(t *testing.T) {
			t.Parallel()
			runPage(t, use(t), page)
		})
	}
}

func hasRun(page docs.Page) bool {
	for _, b := range page.Blocks {
		if b.Info == docs.Manifest || b.Info == docs.Run {
			return true
		}
	}
	return false
}

func runPage(t *testing.T, e *env, page docs.Page) {
	said, ran := "", false // by the block before
	for _, b := range page.Blocks {
		switch b.Info {
		case docs.Manifest:
			t.Cleanup(func() { e.shell(t, "kubectl delete --ignore-not-found --timeout=90s -f -", b.Text) })
			said, ran = e.shell(t, "kubectl apply -f -", b.Text), false
		case docs.Run:
			said, ran = e.shell(t, b.Text, ""), true
		case docs.Output:
			if missing := docs.Missing(b.Text, said); ran && len(missing) > 0 {
				t.Errorf("%s:%d: not in the output: %q\n%s", page.Path, b.Line, missing, said)
			}
			ran = false
		default:
			ran = false
		}
		if t.Failed() {
			t.Fatalf("%s:%d", page.Path, b.Line)
		}
	}
}

// patience lets kubectl wait for longer than its 30 seconds.
const patience = `kubectl() {
    case " $* " in
    *" wait "*) command kubectl "$@" --timeout=90s ;;
    *) command kubectl "$@" ;;
    esac
}
`

// shell runs commands as a reader does who has set up kubectl.
func (e *env) shell(t *testing.T, commands, input string) string {
	t.Helper()
	cmd := e.asUser(t, exec.Command("bash", "-euo", "pipefail", "-c", patience+commands))
	cmd.Dir = ".."
	cmd.Stdin = strings.NewReader(input)
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s\n%s", err, commands, said)
	}
	return string(said)
}
