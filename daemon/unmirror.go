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
	ovs    *vswitch.Client
	purged func() // told when it is done, when set
	log    logr.Logger
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
		if err := u.purge(ctx); err != nil && ctx.Err() == nil {
			u.log.Error(err, "packets may be copied that nobody wants any more")
			again = time.After(switchAgain)
			continue
		}
		if u.purged != nil {
			u.purged()
		}
	}
}

// purge removes all flows from the datapath, once ovs-vswitchd knows of the change: the packets that come make them anew.
func (u *unmirror) purge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	if err := u.ovs.Applied(ctx); err != nil {
		return err
	}
	return u.call(ctx, "revalidator/purge")
}
