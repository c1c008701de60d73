package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const deadline = 20 * time.Second

// process is one entrypoint that runs with folders of its own.
type process struct {
	*exec.Cmd
	log  *bytes.Buffer
	done chan struct{}
}

// start runs an entrypoint until the test ends.
func start(t *testing.T, env []string, name string, args ...string) *process {
	t.Helper()
	p := prepare(env, name, args...)
	p.begin(t)
	return p
}

func prepare(env []string, name string, args ...string) *process {
	p := &process{exec.Command("./entrypoint/"+name, args...), &bytes.Buffer{}, make(chan struct{})}
	p.Env = append(os.Environ(), env...)
	p.Stdout, p.Stderr = p.log, p.log
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return p
}

func (p *process) begin(t *testing.T) {
	t.Helper()
	must(t, p.Start())
	go func() {
		defer close(p.done)
		_ = p.Wait()
	}()
	t.Cleanup(func() {
		p.stop(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("%s:\n%s", p, p.log)
		}
	})
}

// stop signals the process and its children, and waits for its end.
func (p *process) stop(sig syscall.Signal) {
	_ = syscall.Kill(-p.Process.Pid, sig)
	<-p.done
}

// command runs a client of a database and returns what it prints.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// database is a northbound database under test.
type database struct {
	*process
	dir  string // database file and sockets
	env  []string
	sock string
}

func newDatabase(t *testing.T) (*database, *authority) {
	t.Helper()
	t.Parallel()
	if _, err := os.Stat("/usr/share/ovn/ovn-nb.ovsschema"); err != nil {
		t.Skip("Debian's ovn-central is not installed")
	}
	d := &database{dir: t.TempDir()}
	tlsDir := filepath.Join(d.dir, "tls")
	must(t, os.Mkdir(tlsDir, 0o755))
	ca := newAuthority(t)
	ca.publish(t, tlsDir, ca.leaf(t, 100))
	// Port 0: the kernel picks one, and the Connection row's status tells it.
	d.env = []string{"OVN_DBDIR=" + d.dir, "OVN_RUNDIR=" + d.dir, "OVN_TLS_DIR=" + tlsDir, "OVN_PORT=0", "POD_IPS=127.0.0.1"}
	d.sock = "unix:" + filepath.Join(d.dir, "ovnnb_db.sock")
	d.restart(t)
	return d, ca
}

func (d *database) restart(t *testing.T) {
	t.Helper()
	if d.process != nil {
		d.stop(syscall.SIGKILL)
	}
	d.process = start(t, d.env, "ovn-db", "nb")
	command(t, "ovsdb-client", "--timeout=20", "wait", d.sock, "OVN_Northbound", "connected")
}

// transact commits operations, each one a JSON text, and returns the reply.
func (d *database) transact(t *testing.T, operations string) string {
	t.Helper()
	return command(t, "ovsdb-client", "--timeout=20", "transact", d.sock, `["OVN_Northbound",`+operations+`]`)
}

var boundPort = regexp.MustCompile(`"bound_port","(\d+)"`)

func (d *database) address(t *testing.T) string {
	t.Helper()
	reply := d.transact(t, `{"op":"wait","table":"Connection","timeout":10000,"where":[["status","excludes",["map",[["bound_port",""]]]]],"columns":["target"],"until":"!=","rows":[]},`+
		`{"op":"select","table":"Connection","where":[],"columns":["status"]}`)
	m := boundPort.FindStringSubmatch(reply)
	if m == nil {
		t.Fatalf("no port in %s", reply)
	}
	return "127.0.0.1:" + m[1]
}

// databases asks the server over TLS for its databases: a whole round trip, because with TLS 1.3 a refused client certificate shows on
// the first read only.
func databases(conn net.Conn) (string, error) {
	if _, err := conn.Write([]byte(`{"method":"list_dbs","params":[],"id":1}`)); err != nil {
		return "", err
	}
	var reply struct{ Result []string }
	err := json.NewDecoder(conn).Decode(&reply)
	return strings.Join(reply.Result, " "), err
}

func dial(address string, config *tls.Config) (*tls.Conn, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: deadline}, "tcp", address, config)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		return nil, err
	}
	if _, err := databases(conn); err != nil {
		conn.Close()
		return nil, fmt.Errorf("first request: %w", err)
	}
	return conn, nil
}

func TestDatabaseVerifiesBothEnds(t *testing.T) {
	d, ca := newDatabase(t)
	stranger := newAuthority(t)
	address := d.address(t)
	otherName := ca.client(ca.leaf(t, 2))
	otherName.ServerName = "somebody-else"
	for name, c := range map[string]struct {
		config *tls.Config
		want   string // part of the error, "" for none
	}{
		"own certificate":        {ca.client(ca.leaf(t, 2)), ""},
		"no certificate":         {ca.client(), "first request"},
		"certificate of another": {ca.client(stranger.leaf(t, 2)), "first request"},
		"server of another":      {stranger.client(ca.leaf(t, 2)), "unknown authority"},
		"server of another name": {otherName, "not somebody-else"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := dial(address, c.config)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// TestRenewedCertificateNeedsNoRestart replaces the Secret, with another CA at that, below a running server.
func TestRenewedCertificateNeedsNoRestart(t *testing.T) {
	d, ca := newDatabase(t)
	address := d.address(t)
	before, err := dial(address, ca.client(ca.leaf(t, 2)))
	must(t, err)
	defer before.Close()

	renewed := newAuthority(t)
	renewed.publish(t, filepath.Join(d.dir, "tls"), renewed.leaf(t, 200))
	after := dialUntil(t, address, renewed.client(renewed.leaf(t, 2)))
	defer after.Close()
	if serial := after.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); serial != 200 {
		t.Errorf("the server shows certificate %d, want 200", serial)
	}
	if got, err := databases(before); err != nil || !strings.Contains(got, "OVN_Northbound") {
		t.Errorf("the connection from before answers %q, %v", got, err)
	}
}

// dialUntil dials until the server accepts. ovsdb-server looks at its files once in a round of its main loop, so the connection that
// starts the round may still meet the old ones; each attempt is itself what wakes the server.
func dialUntil(t *testing.T, address string, config *tls.Config) *tls.Conn {
	t.Helper()
	var errs []error
	for end := time.Now().Add(deadline); time.Now().Before(end); {
		conn, err := dial(address, config)
		if err == nil {
			return conn
		}
		errs = append(errs, err)
	}
	t.Fatal(errors.Join(errs...))
	return nil
}

func TestDatabaseKeepsRowsOverKill(t *testing.T) {
	d, _ := newDatabase(t)
	d.transact(t, `{"op":"insert","table":"Logical_Switch","row":{"name":"blue"}}`)
	d.restart(t)
	if got := d.transact(t, `{"op":"select","table":"Logical_Switch","where":[],"columns":["name"]}`); !strings.Contains(got, "blue") {
		t.Errorf("after kill -9 and a start: %s", got)
	}
	if got := d.transact(t, `{"op":"select","table":"Connection","where":[],"columns":["target"]},{"op":"select","table":"NB_Global","where":[],"columns":["nb_cfg"]}`); strings.Count(got, "pssl:") != 1 || strings.Count(got, "nb_cfg") != 1 {
		t.Errorf("a second start adds rows: %s", got)
	}
}

func TestDatabaseListensOnEachAddress(t *testing.T) {
	d, _ := newDatabase(t)
	d.env = append(d.env, "POD_IPS=127.0.0.1,::1", "INACTIVITY_PROBE=1234")
	d.restart(t)
	got := d.transact(t, `{"op":"select","table":"Connection","where":[["inactivity_probe","==",1234]],"columns":["target"]}`)
	for _, want := range []string{"pssl:0:127.0.0.1", "pssl:0:[::1]"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}

func TestBrokenDatabaseIsPutAside(t *testing.T) {
	d, _ := newDatabase(t)
	d.stop(syscall.SIGKILL)
	file := filepath.Join(d.dir, "ovnnb_db.db")
	write(t, file, "this was a database")
	d.restart(t)
	if kept, err := os.ReadFile(file + ".broken"); err != nil || string(kept) != "this was a database" {
		t.Errorf("kept %q, %v", kept, err)
	}
	if !strings.Contains(d.log.String(), "kept as "+file+".broken") {
		t.Error("the log does not tell")
	}
}

// TestOldSchemaIsUpgraded starts on a database that lacks a table of today.
func TestOldSchemaIsUpgraded(t *testing.T) {
	d, _ := newDatabase(t)
	d.stop(syscall.SIGKILL)
	file, schema := filepath.Join(d.dir, "ovnnb_db.db"), filepath.Join(d.dir, "old.ovsschema")
	must(t, os.Remove(file))
	write(t, schema, `{"name":"OVN_Northbound","version":"1.0.0","tables":{"Logical_Switch":{"columns":{"name":{"type":"string"}},"isRoot":true}}}`)
	command(t, "ovsdb-tool", "create", file, schema)
	command(t, "ovsdb-tool", "transact", file, `["OVN_Northbound",{"op":"insert","table":"Logical_Switch","row":{"name":"old"}}]`)
	d.restart(t)
	if got := d.transact(t, `{"op":"select","table":"Logical_Switch","where":[],"columns":["name","ports"]}`); !strings.Contains(got, "old") {
		t.Errorf("after the upgrade: %s", got)
	}
}

func TestInstallCNIKeepsWhatIsThere(t *testing.T) {
	lib, target := t.TempDir(), t.TempDir()
	script, err := os.ReadFile("entrypoint/install-cni")
	must(t, err)
	write(t, filepath.Join(lib, "install-cni"), string(script))
	write(t, filepath.Join(lib, "cni/portmap"), "ours")
	write(t, filepath.Join(lib, "cni/loopback"), "ours")
	write(t, filepath.Join(target, "loopback"), "theirs")
	command(t, "sh", filepath.Join(lib, "install-cni"), target)
	for name, want := range map[string]string{"portmap": "ours", "loopback": "theirs"} {
		if got, _ := os.ReadFile(filepath.Join(target, name)); string(got) != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(target, "*new")); len(left) > 0 {
		t.Errorf("left over: %s", left)
	}
}

// TestWithSysctl makes a container's view of /proc/sys, in namespaces of the test.
func TestWithSysctl(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, for namespaces")
	}
	const sysctl = "/proc/sys/net/ipv4/conf/lo/forwarding"
	got := command(t, "unshare", "--mount", "--net", "sh", "-c", `
		mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys
		(echo 1 >`+sysctl+`) 2>/dev/null && echo writable without
		./entrypoint/with-sysctl sh -c 'echo 1 >`+sysctl+` && cat `+sysctl+`'`)
	if got != "1\n" {
		t.Errorf("got %q", got)
	}
}
