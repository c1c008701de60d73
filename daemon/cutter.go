package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/daemon/service"
)

// cutter cuts the UDP flows of Services to endpoints that are gone. ovn-controller does so too (ovn-nb(5), options:ct_flush of a
// Load_Balancer), but at once with the change of its flows, and ovs-vswitchd takes some milliseconds more until the datapath follows: a
// datagram in between makes an entry for the old endpoint again, which lives as long as its client goes on. So it is done once more when
// ovn-controller says that it is done (docs/decisions/0014-udp-flows-are-cut-twice.md).
type cutter struct {
	switchd
	services  *service.Index
	wake      signal          // more flows are lost
	installed <-chan struct{} // ovn-controller has caught up
	log       logr.Logger
}

// A lost flow is remembered so long at least, for what OVN does late.
const flowMemory = time.Minute

// Run cuts until ctx is done: at once on each event, and after each of the next passes of the revalidators. That ovs-vswitchd does not
// answer is logged, and tried again.
func (c *cutter) Run(ctx context.Context) error {
	var again <-chan time.Time
	var passed <-chan error
	passes, caughtUp := 0, time.Now()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
			passes = fullPass
		case <-c.installed:
			// Those that were old enough when it caught up the last time have been cut since. Not earlier: OVN may be late.
			c.services.Forget(caughtUp.Add(-flowMemory))
			passes, caughtUp = fullPass, time.Now()
		case <-again:
			passes = fullPass
		case err = <-passed:
			passes--
		}
		again, passed = nil, nil
		lost := c.services.Lost()
		if err == nil {
			err = c.cut(ctx, lost)
		}
		switch {
		case err != nil && ctx.Err() == nil:
			c.log.Error(err, "cannot cut the UDP flows to endpoints that are gone")
			again = time.After(switchAgain)
		case passes > 0 && len(lost) > 0:
			passed = c.pass(ctx)
		}
	}
}

// fullPass is how many passes of the revalidators have to end until all of the datapath has been compared with the flows of now: one may
// be under way already.
const fullPass = 2

// pass tells when the revalidators have ended one.
func (c *cutter) pass(ctx context.Context) <-chan error {
	passed := make(chan error, 1)
	go func() { passed <- c.call(ctx, "revalidator/wait") }()
	return passed
}

func (c *cutter) cut(ctx context.Context, lost []service.Flow) error {
	for _, f := range lost {
		if err := c.call(ctx, "dpctl/flush-conntrack", there(f.Frontend), back(f.Endpoint)); err != nil {
			return err
		}
	}
	return nil
}

// there and back are the two tuples of a UDP entry, of which nothing is said about the client (ovs-dpctl(8), flush-conntrack).
func there(to netip.AddrPort) string { return tuple(to, "dst") }

func back(from netip.AddrPort) string { return tuple(from, "src") }

func tuple(a netip.AddrPort, side string) string {
	family := "nw"
	if a.Addr().Is6() {
		family = "ipv6"
	}
	return fmt.Sprintf("ct_%s_%s=%s,ct_tp_%s=%d,ct_nw_proto=17", family, side, a.Addr(), side, a.Port())
}
