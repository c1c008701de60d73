package controlplane

import (
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// waitExit waits until a process has ended: its pidfd becomes readable then (pidfd_open(2)).
func waitExit(t *testing.T, number string, deadline time.Time) {
	t.Helper()
	pid, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it has ended
	}
	defer unix.Close(fd)
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, max(1, int(time.Until(deadline).Milliseconds())))
	if err != nil || n == 0 {
		t.Errorf("process %d still runs (%v)", pid, err)
	}
}
