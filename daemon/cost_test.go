package daemon

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/heddle-net/heddle/cni/api"
	"github.com/heddle-net/heddle/daemon/port"
	"github.com/heddle-net/heddle/ovs/ovstest"
	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

// TestTransactionsPerPod counts what the daemon sends to the Open_vSwitch database: one transaction for an ADD, one for a
// DEL, none for CHECK, STATUS and a DEL of nothing. The first Pod of a node costs one more, for the QoS row that all ports share.
func TestTransactionsPerPod(t *testing.T) {
	n := node.Start(t, node.Options{})
	var count *atomic.Int64
	n.OVS, count = ovstest.CountTransactions(t, n.OVS)
	r := newRigOn(t, n)
	r.pod("first", "10.16.0.9", "10.16.0.0/16", "10.16.0.1", 9).must("ADD")
	s := r.web(10)
	for _, step := range []struct {
		command string
		want    int64
	}{{"ADD", 1}, {"CHECK", 0}, {"STATUS", 0}, {"DEL", 1}, {"DEL", 0}} {
		before := count.Load()
		s.must(step.command)
		if got := count.Load() - before; got != step.want {
			t.Errorf("%s: %d transactions, want %d", step.command, got, step.want)
		}
	}
}

// TestNoProcessStarted runs ADD, CHECK, GC and DEL in a process whose kernel refuses execve(2): it runs this test binary again,
// which installs the filter once its node runs.
func TestNoProcessStarted(t *testing.T) {
	node.Start(t, node.Options{Bare: true}) // skips where there can be none
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestInsideNoExec$", "-test.v")
	cmd.Env = append(os.Environ(), noExec+"=1", node.Inside+"=") // namespaces of its own: it leaves its node behind
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestInsideNoExec")) {
		t.Errorf("%v\n%s", err, out)
	}
}

const noExec = "HEDDLE_TEST_NO_EXEC"

// TestInsideNoExec is the child of TestNoProcessStarted.
func TestInsideNoExec(t *testing.T) {
	if os.Getenv(noExec) == "" {
		t.Skip("runs as a child of TestNoProcessStarted")
	}
	r := newRig(t)
	s := r.pod("web", "10.16.0.10,fd00::10", "10.16.0.0/16,fd00::/112", "10.16.0.1,fd00::1", 10)
	// What follows must not be undone by the test's own tools.
	forbidExec(t)
	if err := exec.Command("true").Run(); err == nil {
		t.Fatal("the filter does not bite")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	q := &api.Request{
		Version: api.Version, Command: api.Add, Network: "heddle", ContainerID: s.id, NetNS: s.netns, IfName: "eth0",
		PodName: "web", PodNamespace: "default", PodUID: s.pod.UID,
	}
	result, err := r.manager.Add(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	q.Prev = result
	if err := r.manager.Check(ctx, q); err != nil {
		t.Error(err)
	}
	if err := r.manager.Del(ctx, q); err != nil {
		t.Error(err)
	}
	if err := r.manager.GC(ctx, q); err != nil {
		t.Error(err)
	}
	if _, err := net.InterfaceByName(port.HostName(s.id, "eth0")); err == nil {
		t.Error("the veth is left over")
	}
	if t.Failed() {
		return
	}
	t.Log("--- PASS: TestInsideNoExec") // the node's own clean-up cannot run any more: nothing may be started
	os.Exit(0)
}

// forbidExec makes execve(2) and execveat(2) fail with EPERM, for all threads and for good (seccomp(2)).
func forbidExec(t *testing.T) {
	t.Helper()
	const load, jumpEqual, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	filter := []unix.SockFilter{
		{Code: load, K: 0}, // the number of the system call
		{Code: jumpEqual, K: unix.SYS_EXECVE, Jt: 1},
		{Code: jumpEqual, K: unix.SYS_EXECVEAT, Jf: 1},
		{Code: ret, K: 0x00050000 | uint32(unix.EPERM)}, // SECCOMP_RET_ERRNO
		{Code: ret, K: 0x7fff0000},                      // SECCOMP_RET_ALLOW
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	const modeFilter, tsync = 1, 1
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, modeFilter, tsync, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		t.Skipf("seccomp filters are not available: %v", errno)
	}
}
