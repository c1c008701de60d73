package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// Printer prints steps. Steps of one Printer follow one another.
type Printer struct {
	out      io.Writer
	terminal bool
	interval time.Duration
}

// New prints to a file, usually standard output.
func New(out *os.File) *Printer {
	if term.IsTerminal(int(out.Fd())) {
		return &Printer{out: out, terminal: true, interval: time.Second}
	}
	return &Printer{out: out, interval: 15 * time.Second}
}

// Step runs a step and prints its name with the time it took, and while it runs, that it does. What the
// step hands to note is shown behind its name.
func (p *Printer) Step(name string, run func(note func(string)) error) error {
	began := time.Now()
	notes := make(chan string)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { defer close(stopped); p.watch(name, began, notes, stop) }()
	var once sync.Once
	finish := func() { once.Do(func() { close(stop) }); <-stopped }
	defer finish()
	err := run(func(text string) {
		select {
		case notes <- text:
		case <-stop:
		}
	})
	finish()
	p.done(name, time.Since(began), err)
	return err
}

func (p *Printer) watch(name string, began time.Time, notes <-chan string, stop <-chan struct{}) {
	tick := time.NewTicker(p.interval)
	defer tick.Stop()
	note := ""
	if p.terminal {
		p.running(name, note, 0)
	}
	for {
		select {
		case note = <-notes:
			if p.terminal {
				p.running(name, note, time.Since(began))
			}
		case <-tick.C:
			p.running(name, note, time.Since(began))
		case <-stop:
			return
		}
	}
}

// eraseLine goes to the line's start and deletes it (ECMA-48 EL).
const eraseLine = "\r\x1b[K"

func (p *Printer) running(name, note string, after time.Duration) {
	if note != "" {
		name += ": " + note
	}
	if p.terminal {
		fmt.Fprintf(p.out, "%s  … %s %.0f s", eraseLine, shorten(name, 90), after.Seconds())
		return
	}
	fmt.Fprintf(p.out, "  … %s, %.0f s so far\n", name, after.Seconds())
}

func (p *Printer) done(name string, took time.Duration, err error) {
	if p.terminal {
		fmt.Fprint(p.out, eraseLine)
	}
	mark := "✓"
	if err != nil {
		mark = "✗"
	}
	fmt.Fprintf(p.out, "  %s %-46s %6.1f s\n", mark, name, took.Seconds())
}

func shorten(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}

// Print prints lines between steps.
func (p *Printer) Print(format string, args ...any) { fmt.Fprintf(p.out, format, args...) }
