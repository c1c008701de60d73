// Package unixctl asks the programs of OVS and OVN what ovs-appctl(8) asks them, over their control sockets: JSON-RPC 1.0, one
// question a connection. It starts no process. It imports the standard library only.
package unixctl

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// Socket is where a daemon listens that writes its pidfile into the directory, as all of them do by default (ovs-vswitchd(8),
// --unixctl). A daemon that is started again listens elsewhere.
func Socket(dir, daemon string) (string, error) {
	pid, err := os.ReadFile(filepath.Join(dir, daemon+".pid"))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, daemon+"."+strings.TrimSpace(string(pid))+".ctl"), nil
}

// Call sends a command and returns what the daemon answers. The context bounds it.
func Call(ctx context.Context, socket, command string, args ...string) (string, error) {
	answer, err := call(ctx, socket, command, args)
	if err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	return answer, nil
}

func call(ctx context.Context, socket, command string, args []string) (string, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	request := map[string]any{"id": 0, "method": command, "params": append([]string{}, args...)}
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return "", err
	}
	var reply struct {
		Result string
		Error  any
	}
	if err := json.NewDecoder(conn).Decode(&reply); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", err
	}
	if reply.Error != nil {
		return "", fmt.Errorf("%v", reply.Error)
	}
	return reply.Result, nil
}
