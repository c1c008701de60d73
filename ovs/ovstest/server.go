package ovstest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Schemas as the Debian packages install them.
const (
	NorthboundSchema = "/usr/share/ovn/ovn-nb.ovsschema"
	SouthboundSchema = "/usr/share/ovn/ovn-sb.ovsschema"
	VswitchSchema    = "/usr/share/openvswitch/vswitch.ovsschema"
)

// Server is a running ovsdb-server with one empty database.
type Server struct {
	// Endpoint is the unix socket, as unix:/path.
	Endpoint string

	tb      testing.TB
	dir     string
	dbFile  string
	process *exec.Cmd
	stdin   io.Closer
}

// StartServer runs ovsdb-server on a new database with the schema in that file.
func StartServer(tb testing.TB, schema string) *Server {
	tb.Helper()
	need(tb, "ovsdb-server", "ovsdb-tool")
	// Unix socket paths are limited to 107 bytes, so the test's own (long) temporary folder will not do.
	dir, err := os.MkdirTemp("", "ovsdb")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{tb: tb, dir: dir, dbFile: filepath.Join(dir, "db"), Endpoint: "unix:" + filepath.Join(dir, "sock")}
	tb.Cleanup(func() {
		s.Kill()
		_ = os.RemoveAll(dir)
	})
	run(tb, "ovsdb-tool", "create", s.dbFile, schema)
	s.Start()
	return s
}

// Start runs the server on the database as it is. It returns when the socket answers: ovsdb-server starts the --run
// command then, and ends with it, so that closing our end of its input ends both, whatever happens to the test.
func (s *Server) Start() {
	s.tb.Helper()
	cmd := exec.Command("ovsdb-server", "--remote=p"+s.Endpoint, "--unixctl="+filepath.Join(s.dir, "ctl"),
		"--run=sh -c 'echo ready; exec cat'", "-vconsole:off", "--log-file="+filepath.Join(s.dir, "log"), s.dbFile)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		s.tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		s.tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	s.process, s.stdin = cmd, stdin
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "ready\n" {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		s.tb.Fatalf("ovsdb-server did not start: %q, %v\n%s", line, err, log)
	}
}

// Kill ends the server with SIGKILL and keeps the database file.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	_ = syscall.Kill(-s.process.Process.Pid, syscall.SIGKILL)
	_ = s.stdin.Close()
	_ = s.process.Wait()
	_ = os.Remove(strings.TrimPrefix(s.Endpoint, "unix:"))
	s.process = nil
}

// Freeze stops the server without closing its connections, as a machine that hangs does; Thaw lets it go on.
func (s *Server) Freeze() { _ = syscall.Kill(s.Pid(), syscall.SIGSTOP) }

// Thaw undoes Freeze.
func (s *Server) Thaw() { _ = syscall.Kill(s.Pid(), syscall.SIGCONT) }

// Recreate ends the server and starts it on a new, empty database, as after the loss of its files.
func (s *Server) Recreate(schema string) {
	s.tb.Helper()
	s.Kill()
	if err := os.Remove(s.dbFile); err != nil {
		s.tb.Fatal(err)
	}
	run(s.tb, "ovsdb-tool", "create", s.dbFile, schema)
	s.Start()
}

// Pid is the process id of the server, for tests that stop it or read its CPU time.
func (s *Server) Pid() int { return s.process.Process.Pid }

// Nbctl runs ovn-nbctl against the server.
func (s *Server) Nbctl(args ...string) string {
	s.tb.Helper()
	need(s.tb, "ovn-nbctl")
	return run(s.tb, "ovn-nbctl", append([]string{"--db=" + s.Endpoint, "--no-leader-only", "-t", "20"}, args...)...)
}

// Transact runs one transaction, in OVSDB's JSON notation, and returns the reply; the test fails if the server refuses it.
func (s *Server) Transact(json string) string {
	s.tb.Helper()
	reply := run(s.tb, "ovsdb-client", "transact", s.Endpoint, json)
	if strings.Contains(reply, `"error":`) {
		s.tb.Fatalf("transaction refused: %s", reply)
	}
	return reply
}

func need(tb testing.TB, programs ...string) {
	tb.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			tb.Skipf("%s is not installed; run `make deps`", p)
		}
	}
}

func run(tb testing.TB, program string, args ...string) string {
	tb.Helper()
	cmd := exec.Command(program, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatal(fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, stderr.String()))
	}
	return string(out)
}
