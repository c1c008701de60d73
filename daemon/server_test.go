package daemon

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-net/heddle/cni/api"
)

// serve runs a Server until the test ends; the function stops it earlier.
func serve(t *testing.T, h Handler, grace time.Duration) (socket string, stop func() error) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "d", "s")
	l, err := listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&Server{Socket: socket, Handler: h, Grace: grace}).run(ctx, l) }()
	stop = func() error { cancel(); err := <-done; done <- err; return err }
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return socket, stop
}

func ask(t *testing.T, socket string, r *api.Request) (*api.Response, error) {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := api.Write(conn, r); err != nil {
		return nil, err
	}
	var out api.Response
	return &out, api.Read(conn, &out)
}

func status() *api.Request { return &api.Request{Version: api.Version, Command: api.Status} }

func nothing(context.Context, *api.Request) (*api.Result, error) { return nil, nil }

func TestServerContainsAPanic(t *testing.T) {
	first := true
	socket, _ := serve(t, func(context.Context, *api.Request) (*api.Result, error) {
		if first {
			first = false
			panic("a bug")
		}
		return nil, nil
	}, 0)
	out, err := ask(t, socket, status())
	if err != nil || out.Error == nil || *out.Error != (api.Error{Code: 999, Msg: "panic in STATUS: a bug"}) {
		t.Errorf("got %+v, %v", out, err)
	}
	if out, err := ask(t, socket, status()); err != nil || out.Error != nil {
		t.Errorf("after a panic: %+v, %v", out, err)
	}
}

func TestServerRefusesWhatIsNotValid(t *testing.T) {
	socket, _ := serve(t, nothing, 0)
	for text, want := range map[string]api.Error{
		"{}":                     {Code: 1, Msg: "the request has protocol version 0, this daemon speaks 1"},
		"GET / HTTP/1.1\r\n\r\n": {Code: 6, Msg: "decode the message: invalid character 'G' looking for beginning of value"},
		`{"version":1,"pad":"` + string(make([]byte, 20)): {Code: 6, Msg: `decode the message: invalid character '\x00' in string literal`},
	} {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		var out api.Response
		_, err = conn.Write([]byte(text))
		if err := errors.Join(err, api.Read(conn, &out), conn.Close()); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if out.Error == nil || *out.Error != want {
			t.Errorf("%q: got %+v, want %+v", text, out.Error, want)
		}
	}
}

func TestServerDrains(t *testing.T) {
	for _, c := range []struct {
		name  string
		grace time.Duration
		want  string
	}{{"in time", time.Minute, ""}, {"too late", time.Millisecond, "the daemon shuts down"}} {
		t.Run(c.name, func(t *testing.T) {
			entered, finish := make(chan struct{}), make(chan struct{})
			socket, stop := serve(t, func(ctx context.Context, _ *api.Request) (*api.Result, error) {
				close(entered)
				select {
				case <-finish:
					return nil, nil
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				}
			}, c.grace)
			answer := make(chan *api.Response)
			go func() {
				out, err := ask(t, socket, status())
				if err != nil {
					t.Error(err)
				}
				answer <- out
			}()
			<-entered
			stopped := make(chan error)
			go func() { stopped <- stop() }()
			if c.want == "" {
				close(finish)
			}
			out := <-answer
			if c.want == "" && out.Error != nil || c.want != "" && (out.Error == nil || out.Error.Msg != c.want) {
				t.Errorf("got %+v, want %q", out.Error, c.want)
			}
			if err := <-stopped; err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket is left over: %v", err)
			}
		})
	}
}

func TestServerReplacesAStaleSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "d", "s")
	if err := os.Mkdir(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: socket}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Close(fd); err != nil { // as kill -9 leaves it
		t.Fatal(err)
	}
	l, err := listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestServerTakesRootOnly lets the file be reached by all, so that only the check of the peer stands in the way.
func TestServerTakesRootOnly(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	binary, err := plugin()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "heddle-peer-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	l, err := listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- (&Server{Socket: socket, Handler: nothing}).run(ctx, l) }()
	for path, mode := range map[string]os.FileMode{dir: 0o755, socket: 0o777, filepath.Dir(binary): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for uid, want := range map[uint32]string{0: "", 65534: "user 65534 may not use this socket"} {
		s := &sandbox{config: map[string]any{"cniVersion": "1.1.0", "name": "heddle", "type": "heddle", "server_socket": socket}, id: "c", rig: &rig{tb: t}}
		out, err := s.runAs("STATUS", uid)
		e := new(cniError)
		if want == "" && err != nil || want != "" && (!errors.As(err, &e) || e.Msg != want) {
			t.Errorf("user %d: %s, %v, want %q", uid, out, err, want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func (s *sandbox) runAs(command string, uid uint32) ([]byte, error) {
	cmd := s.command(command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return output(cmd)
}
