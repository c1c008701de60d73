package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestIdentityIsNotItsNumber(t *testing.T) {
	p := start(t, "sleep", "60")
	id, err := Identify(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	for what, other := range map[string]Identity{
		"another start": {PID: id.PID, Start: id.Start + 1, Boot: id.Boot},
		"another boot":  {PID: id.PID, Start: id.Start, Boot: "other"},
	} {
		if err := other.Kill(time.Minute); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if !id.Alive() {
		t.Fatal("a process was killed that has only the number in common")
	}
	if err := id.Kill(time.Minute); err != nil {
		t.Fatal(err)
	}
	if id.Alive() {
		t.Error("it is alive after Kill")
	}
}

func TestErrTellsTheEndOfTheLog(t *testing.T) {
	p := start(t, "sh", "-c", "echo no such flag; exit 3")
	<-p.Exited()
	if text := p.Err().Error(); !strings.Contains(text, "no such flag") || !strings.Contains(text, "exit status 3") {
		t.Errorf("got %q", text)
	}
}

func TestStartTellsWhatIsMissing(t *testing.T) {
	_, err := Start(Spec{Name: "x", Args: []string{"/no/such/program"}, Log: filepath.Join(t.TempDir(), "log")})
	if err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("got %v", err)
	}
}

func start(t *testing.T, args ...string) *Process {
	t.Helper()
	p, err := Start(Spec{Name: args[0], Args: args, Dir: os.TempDir(), Log: filepath.Join(t.TempDir(), "log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}
