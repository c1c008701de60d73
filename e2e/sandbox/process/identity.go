package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Identity is a process that may outlive the one that wrote it down.
type Identity struct {
	PID   int
	Start uint64 // in clock ticks since boot, field 22 of /proc/PID/stat (proc(5))
	Boot  string // of the kernel that both numbers belong to
}

// Identify reads the identity of a running process.
func Identify(pid int) (Identity, error) {
	start, err := startTime(pid)
	if err != nil {
		return Identity{}, fmt.Errorf("identify process %d: %w", pid, err)
	}
	boot, err := bootID()
	if err != nil {
		return Identity{}, fmt.Errorf("identify process %d: %w", pid, err)
	}
	return Identity{PID: pid, Start: start, Boot: boot}, nil
}

// Alive says whether the process still runs.
func (id Identity) Alive() bool {
	fd, err := id.open()
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return awaitExit(fd, id.PID, 0) != nil
}

// open returns a pidfd, or ESRCH where the process is gone and its number perhaps given away.
func (id Identity) open() (int, error) {
	fd, err := unix.PidfdOpen(id.PID, 0)
	if err != nil {
		return -1, err
	}
	// What the number meant before the descriptor was opened does not count.
	if now, err := Identify(id.PID); err != nil || now != id {
		_ = unix.Close(fd)
		return -1, unix.ESRCH
	}
	return fd, nil
}

// Kill ends the process at once and returns when it is gone. A process that has ended is no error.
// The end of a PID namespace's first process is the end of all in it (pid_namespaces(7)).
func (id Identity) Kill(timeout time.Duration) error {
	fd, err := id.open()
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("kill process %d: %w", id.PID, err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", id.PID, err)
	}
	if err := awaitExit(fd, id.PID, timeout); err != nil {
		return err
	}
	// A child of this process would stay as a zombie; of others this is ECHILD.
	_, _ = unix.Wait4(id.PID, nil, unix.WNOHANG, nil)
	return nil
}

// awaitExit waits until a pidfd is readable: the process has ended (pidfd_open(2)).
func awaitExit(fd, pid int, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		left := max(0, time.Until(deadline))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait for the end of process %d: %w", pid, err)
		case n == 0:
			return fmt.Errorf("process %d still runs %v after SIGKILL", pid, timeout)
		default:
			return nil
		}
	}
}

func startTime(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the name in parentheses and may hold anything.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("short /proc/%d/stat", pid)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data)), err
}
