package daemon

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/heddle-net/heddle/ovs/unixctl"
)

// switchd is ovs-vswitchd, asked by its control socket.
type switchd struct {
	socket string // of the Open_vSwitch database, next to which ovs-vswitchd has its own
}

// It has so long for an answer, and is asked again so long after there was none.
const (
	answerLimit = 10 * time.Second
	switchAgain = time.Second
)

func (s switchd) call(ctx context.Context, command string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	socket, err := unixctl.Socket(filepath.Dir(strings.TrimPrefix(s.socket, "unix:")), "ovs-vswitchd")
	if err != nil {
		return err
	}
	_, err = unixctl.Call(ctx, socket, command, args...)
	return err
}
