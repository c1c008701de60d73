package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// awaitSocket returns when a unix socket takes connections. The socket appears before its server listens, so that
// a watch of the folder would not tell.
func awaitSocket(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("no answer for 30 s"))
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("unix", path)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}
