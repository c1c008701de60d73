package ovstest

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// CountTransactions puts a proxy before a database's unix socket, and counts the transactions that clients of the proxy ask for. When the
// server is down, so is the proxy for its clients.
func CountTransactions(tb testing.TB, endpoint string) (proxy string, count *atomic.Int64) {
	tb.Helper()
	server := strings.TrimPrefix(endpoint, "unix:")
	l, err := net.Listen("unix", server+".proxy")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	count = new(atomic.Int64)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", server)
			if err != nil {
				_ = in.Close()
				continue
			}
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
			go func() { _, _ = io.Copy(io.MultiWriter(counter{count}, out), in); _ = out.Close() }()
		}
	}()
	return endpoint + ".proxy", count
}

// counter counts writes with a transaction: libovsdb sends a request with one write.
type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(bytes.Count(b, []byte(`"method":"transact"`))))
	return len(b), nil
}
