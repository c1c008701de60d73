package progress

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestStepTellsItsTimeAndWhatItDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := &Printer{out: &out, interval: 15 * time.Second}
		err := p.Step("build", func(note func(string)) error {
			note("kubelet")
			<-time.After(32 * time.Second) // of the test's clock
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := "  … build: kubelet, 15 s so far\n" +
			"  … build: kubelet, 30 s so far\n" +
			"  ✓ build                                            32.0 s\n"
		if out.String() != want {
			t.Errorf("got\n%swant\n%s", out.String(), want)
		}
	})
}

func TestStepReturnsTheErrorAndMarksIt(t *testing.T) {
	var out bytes.Buffer
	p := &Printer{out: &out, terminal: true, interval: time.Hour}
	broken := errors.New("broken")
	if err := p.Step("build", func(func(string)) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(out.String(), "✗ build") {
		t.Errorf("no mark in %q", out.String())
	}
}
