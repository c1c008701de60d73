package daemon

import (
	"context"
	"time"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/ovs/vswitch"
)

// unmirror ends the copying of packets. ovs-vswitchd (3.5) does not look through the datapath when a mirror goes: a flow there goes on
// copying for as long as packets come (docs/decisions/0017-mirrors.md).
type unmirror struct {
	switchd
	ovs   *vswitch.Client
	ports []string          // those whose packets may be copied still
	done  func(purged bool) // when it is set, told after each look
	log   logr.Logger
}

// Run works until ctx is done.
func (u *unmirror) Run(ctx context.Context) error {
	fewer, done := u.ovs.SubscribeUnmirrored()
	defer done()
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-fewer:
		case <-again:
		}
		again = nil
		purged, err := u.purge(ctx)
		if err != nil && ctx.Err() == nil {
			u.log.Error(err, "packets may be copied that nobody wants any more")
			again = time.After(switchAgain)
		}
		if u.done != nil {
			u.done(purged)
		}
	}
}

// purge removes all flows from the datapath, once ovs-vswitchd knows of the change: the packets that come make them anew. A port that is gone
// has no packets.
func (u *unmirror) purge(ctx context.Context) (purged bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	u.ports = append(u.ports, u.ovs.TakeUnmirrored()...)
	if err := u.ovs.Applied(ctx); err != nil {
		return false, err
	}
	purged, err = u.ovs.HasAny(ctx, u.ports)
	if purged {
		err = u.call(ctx, "revalidator/purge")
	}
	if err == nil {
		u.ports = nil
	}
	return purged, err
}
