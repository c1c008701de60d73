package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// Spec says how to start a program.
type Spec struct {
	Name string   // in messages
	Args []string // the program's path first
	Env  []string // added to the parent's environment
	Dir  string   // working folder
	Log  string   // file that standard output and error are appended to

	Stale []string // files in Dir that a killed predecessor leaves and the program stumbles over
}

// RemoveStale is called before each start.
func (s Spec) RemoveStale() error {
	for _, name := range s.Stale {
		if err := os.Remove(filepath.Join(s.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("start %s: %w", s.Name, err)
		}
	}
	return nil
}

// Process is a running child of this process, killed by the kernel when this process dies.
type Process struct {
	Spec   Spec
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start starts the program.
func Start(spec Spec) (*Process, error) {
	if err := spec.RemoveStale(); err != nil {
		return nil, err
	}
	p := &Process{Spec: spec, exited: make(chan struct{})}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	return p, nil
}

// run keeps the thread that forked: PR_SET_PDEATHSIG fires when the parent *thread*
// ends (prctl(2)), and the Go runtime may end a thread that has nothing to do.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.exited)
	log, err := os.OpenFile(p.Spec.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		started <- err
		return
	}
	defer log.Close()
	p.cmd = command(p.Spec, log)
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	_ = p.cmd.Wait() // Err tells how it ended
}

func command(spec Spec, log *os.File) *exec.Cmd {
	cmd := exec.Command(spec.Args[0], spec.Args[1:]...)
	cmd.Env = append(os.Environ(), spec.Env...)
	cmd.Dir = spec.Dir
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own: Ctrl-C in the terminal is for the parent, which then stops its children.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return cmd
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Err says how the process ended, with the end of its log. It may be called once Exited is closed.
func (p *Process) Err() error {
	return fmt.Errorf("%s ended: %v; the end of %s:\n%s", p.Spec.Name, p.cmd.ProcessState, p.Spec.Log, Tail(p.Spec.Log))
}

// Tail is the end of a log, for messages; what cannot be read is left out.
func Tail(path string) string {
	const most = 2000
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-most):])
}

// Kill ends the process at once and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // fails only when it has ended already
	<-p.exited
}

// Terminate asks the process to end, and kills it when ctx ends first.
func (p *Process) Terminate(ctx context.Context) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-ctx.Done():
		p.Kill()
	}
}
