package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"

	"github.com/heddle-net/heddle/cni/api"
)

const (
	// maxConns bounds the operations at one time. ADDs that wait for an address count, so it is well above the number of
	// Pods of a node.
	maxConns = 1024
	// readTimeout bounds how long a plugin may take to send its request, writeTimeout to take the response.
	readTimeout  = 5 * time.Second
	writeTimeout = 5 * time.Second
)

// errPeerGone is why an operation is given up whose plugin has gone.
var errPeerGone = errors.New("the CNI plugin went away")

// errShutdown is why operations are given up that outlive the daemon's grace period.
var errShutdown = errors.New("the daemon shuts down")

// Handler does one operation whose request is valid.
type Handler func(context.Context, *api.Request) (*api.Result, error)

// Server takes requests from the CNI plugin: one per connection, from root only.
type Server struct {
	Socket  string
	Handler Handler
	// Grace is how long operations may go on after Run's context has ended. Default 10 s.
	Grace time.Duration
	Log   logr.Logger
}

// Run listens until ctx is done, then lets the operations in hand finish.
func (s *Server) Run(ctx context.Context) error {
	l, err := listen(s.Socket)
	if err != nil {
		return err
	}
	return s.run(ctx, l)
}

func (s *Server) run(ctx context.Context, l *net.UnixListener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // this removes the socket's file, too
	defer stop()
	work, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	var conns sync.WaitGroup
	slots := make(chan struct{}, maxConns)
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			s.drain(&conns, giveUp)
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept on %s: %w", s.Socket, err)
		}
		slots <- struct{}{}
		conns.Go(func() {
			defer func() { <-slots }()
			s.serve(work, conn)
		})
	}
}

// drain waits for the connections, for Grace without and then with their contexts ended.
func (s *Server) drain(conns *sync.WaitGroup, giveUp context.CancelCauseFunc) {
	grace := s.Grace
	if grace == 0 {
		grace = 10 * time.Second
	}
	timer := time.AfterFunc(grace, func() { giveUp(errShutdown) })
	defer timer.Stop()
	conns.Wait()
}

// listen replaces the socket that a killed daemon has left. Its folder and itself are root's alone; connections are checked
// as well, since the file's mode is not what every system looks at (unix(7)).
func listen(socket string) (*net.UnixListener, error) {
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		return nil, fmt.Errorf("make the socket's folder: %w", err)
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the stale socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", socket, err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("restrict the socket: %w", err), l.Close())
	}
	return l, nil
}

// serve answers one connection.
func (s *Server) serve(ctx context.Context, conn *net.UnixConn) {
	defer func() { _ = conn.Close() }()
	result, err := s.answer(ctx, conn)
	response := &api.Response{Result: result}
	if err != nil {
		response = &api.Response{Error: api.AsError(err)}
	}
	if err := errors.Join(conn.SetWriteDeadline(time.Now().Add(writeTimeout)), api.Write(conn, response)); err != nil {
		s.Log.V(1).Info("a CNI plugin did not take its response", "error", err.Error())
	}
}

func (s *Server) answer(ctx context.Context, conn *net.UnixConn) (result *api.Result, err error) {
	if err := fromRoot(conn); err != nil {
		return nil, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(readTimeout)); err != nil {
		return nil, err
	}
	var r api.Request
	if err := api.Read(conn, &r); err != nil {
		return nil, err
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timeout())
	defer cancel()
	ctx, done := whileOpen(ctx, conn)
	defer done()
	return s.handle(ctx, &r)
}

// handle contains a panic in the request that caused it: the other Pods of the node still need the daemon.
func (s *Server) handle(ctx context.Context, r *api.Request) (result *api.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.Log.Error(fmt.Errorf("%v", p), "panic in a CNI operation", "command", r.Command, "container", r.ContainerID, "stack", string(debug.Stack()))
			err = api.Errorf(api.CodeInternal, "panic in %s: %v", r.Command, p)
		}
	}()
	return s.Handler(ctx, r)
}

// whileOpen ends the context when the plugin closes the connection, which it does before the response only by
// dying. The function ends the watch.
func whileOpen(ctx context.Context, conn *net.UnixConn) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	watch := make(chan struct{})
	go func() {
		defer close(watch)
		// What follows the request is not wanted; only the end of the stream is waited for.
		_, err := io.Copy(io.Discard, conn)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			cancel(errPeerGone)
		}
	}()
	return ctx, func() {
		_ = conn.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
		<-watch
		cancel(nil)
	}
}

// fromRoot looks at who has connected (SO_PEERCRED, unix(7)).
func fromRoot(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return fmt.Errorf("peer credentials: %w", err)
	}
	if credErr != nil {
		return fmt.Errorf("peer credentials: %w", credErr)
	}
	if cred.Uid != 0 {
		return api.Errorf(api.CodeIO, "user %d may not use this socket", cred.Uid)
	}
	return nil
}
