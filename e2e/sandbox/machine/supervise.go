package machine

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/heddle-net/heddle/e2e/sandbox/process"
)

// restartDelay is how long a service that died stays down, as systemd's RestartSec.
const restartDelay = 500 * time.Millisecond

// supervisor is the rest of an init's life: it starts services again when they die, and reaps what
// other processes leave behind. All of its state belongs to one goroutine.
type supervisor struct {
	running map[int]process.Spec // by process number
	due     chan process.Spec    // to be started again
}

func supervise(services []process.Spec) error {
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	s := &supervisor{running: map[int]process.Spec{}, due: make(chan process.Spec, len(services))}
	for _, spec := range services {
		if err := s.start(spec); err != nil {
			return err
		}
	}
	for {
		select {
		case <-children:
			s.reap()
		case spec := <-s.due:
			if err := s.start(spec); err != nil {
				return err
			}
		}
	}
}

func (s *supervisor) start(spec process.Spec) error {
	if err := spec.RemoveStale(); err != nil {
		return err
	}
	log, err := os.OpenFile(logPath(spec.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", spec.Name, err)
	}
	defer log.Close()
	p, err := os.StartProcess(spec.Args[0], spec.Args, &os.ProcAttr{
		Dir: spec.Dir,
		Env: append(os.Environ(), spec.Env...),
		// Standard input is the empty one of init.
		Files: []*os.File{os.Stdin, log, log},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", spec.Name, err)
	}
	s.running[p.Pid] = spec
	return p.Release() // reap waits for it
}

// reap collects every child that has ended. One SIGCHLD may stand for many (signal(7)).
func (s *supervisor) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 {
			return
		}
		if spec, ok := s.running[pid]; ok {
			delete(s.running, pid)
			fmt.Printf("%s %s ended: %s\n", time.Now().Format(time.RFC3339), spec.Name, describe(status))
			time.AfterFunc(restartDelay, func() { s.due <- spec })
		}
	}
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}
