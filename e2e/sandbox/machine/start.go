package machine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/heddle-net/heddle/e2e/sandbox/process"
)

// killTimeout is for all processes of a machine to end; hundreds of containers take seconds.
const killTimeout = time.Minute

// Machine is a machine that was started, by this process or an earlier one.
type Machine struct {
	Config Config
	Init   process.Identity
}

// Start starts a machine. program is an executable whose command "machine DIR" calls Main. plug is called
// when the machine's network namespace is there and before its services start. listener may be nil.
func Start(program string, c Config, listener *net.TCPListener, plug func(*Machine) error) (*Machine, error) {
	m := &Machine{Config: c}
	if err := m.start(program, listener, plug); err != nil {
		return nil, errors.Join(fmt.Errorf("machine %s: %w", c.Name, err), m.Remove())
	}
	return m, nil
}

func (m *Machine) start(program string, listener *net.TCPListener, plug func(*Machine) error) error {
	if err := os.MkdirAll(m.Config.LogDir(), 0o755); err != nil {
		return err
	}
	if err := m.Config.write(); err != nil {
		return err
	}
	l, err := m.launch(program, listener)
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.report(); err != nil {
		return errors.Join(err, l.abort())
	}
	if err := m.admit(plug); err != nil {
		return errors.Join(err, l.abort())
	}
	return l.release()
}

// admit does what has to be done before a machine may outlive its parent.
func (m *Machine) admit(plug func(*Machine) error) error {
	if err := writeJSON(m.Config.path(recordFile), m.Init); err != nil {
		return err
	}
	if err := createCgroup(m.Config.Cgroup, m.Init.PID); err != nil {
		return err
	}
	return plug(m)
}

// launch is a machine's init with the parent's ends of its pipes.
type launch struct {
	cmd         *exec.Cmd
	start, told *os.File
	log         string
}

func (m *Machine) launch(program string, listener *net.TCPListener) (*launch, error) {
	startRead, startWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer startRead.Close()
	toldRead, toldWrite, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, startWrite.Close())
	}
	defer toldWrite.Close()
	l := &launch{start: startWrite, told: toldRead, log: filepath.Join(m.Config.LogDir(), initLog)}
	files := []*os.File{startRead, toldWrite}
	if listener != nil {
		file, err := listener.File()
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		defer file.Close()
		files = append(files, file)
	}
	if err := l.exec(program, m.Config.Dir, files); err != nil {
		return nil, errors.Join(err, l.close())
	}
	m.Init, err = process.Identify(l.cmd.Process.Pid)
	return l, err
}

func (l *launch) exec(program, dir string, files []*os.File) error {
	log, err := os.OpenFile(l.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	l.cmd = exec.Command(program, "machine", dir)
	l.cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	l.cmd.Dir = "/"
	l.cmd.Stdout, l.cmd.Stderr = log, log
	l.cmd.ExtraFiles = files
	l.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Setsid:     true,
	}
	return l.cmd.Start()
}

// report returns what the init could not prepare.
func (l *launch) report() error {
	line, err := bufio.NewReader(l.told).ReadString('\n')
	if err != nil {
		return fmt.Errorf("its init ended early; the end of %s:\n%s", l.log, process.Tail(l.log))
	}
	if line = strings.TrimSpace(line); line != "" {
		return errors.New(line)
	}
	return nil
}

// release lets the machine outlive this process, and returns when it is so: the init closes its end
// of the report then.
func (l *launch) release() error {
	if _, err := l.start.WriteString("go"); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, l.told); err != nil {
		return err
	}
	return l.cmd.Process.Release()
}

// abort ends a machine that did not come to be.
func (l *launch) abort() error {
	if err := l.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = l.cmd.Wait() // it was killed, and says so
	return nil
}

func (l *launch) close() error { return errors.Join(l.start.Close(), l.told.Close()) }

// Open reads the machine of a folder; it may have died.
func Open(dir string) (*Machine, error) {
	config, err := readConfig(dir)
	if err != nil {
		return nil, fmt.Errorf("machine in %s: %w", dir, err)
	}
	m := &Machine{Config: config}
	if err := readJSON(m.Config.path(recordFile), &m.Init); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("machine in %s: %w", dir, err)
	}
	return m, nil
}

// Alive says whether the machine runs.
func (m *Machine) Alive() bool { return m.Init.Alive() }

// Remove ends all processes of the machine and removes its cgroup and its folder. It can be
// called again, and on what is left of a machine after a crash.
func (m *Machine) Remove() error {
	if m.Init.PID != 0 {
		if err := m.Init.Kill(killTimeout); err != nil {
			return fmt.Errorf("remove machine %s: %w", m.Config.Name, err)
		}
	}
	return errors.Join(RemoveCgroup(m.Config.Cgroup), os.RemoveAll(m.Config.Dir))
}
