package daemon

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/go-logr/logr/testr"

	"github.com/heddle-net/heddle/daemon/port"
	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

// TestUnmirror: the datapath copies no packet any more once the mirror is gone, though packets like those before go on. When ports go, it is
// not purged.
func TestUnmirror(t *testing.T) {
	node.UsePrograms(t, "../dist/root")
	r := newRig(t)
	from, to := r.web(10), r.pod("to", "10.16.0.11", "10.16.0.0/16", "10.16.0.1", 11)
	gone := r.pod("gone", "10.16.0.12", "10.16.0.0/16", "10.16.0.1", 12)
	for _, p := range []*sandbox{from, to, gone} {
		p.must("ADD")
	}
	u := &unmirror{switchd: switchd{r.OVS}, ovs: r.ovs, log: testr.New(t)}
	purged := make(chan bool, 4)
	u.done = func(done bool) { purged <- done }
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()

	host, other := port.HostName(from.id, "eth0"), port.HostName(gone.id, "eth0")
	r.VSCtl("add-port", "br-int", "copies", "--", "set", "Interface", "copies", "type=internal", "--", "--id=@out", "get", "Port", "copies",
		"--", "--id=@pod", "get", "Port", host, "--", "--id=@gone", "get", "Port", other, "--", "--id=@m", "create", "Mirror", "name=m", "output-port=@out", "select-src-port=@pod,@gone", "select-dst-port=@pod,@gone",
		"--", "set", "Bridge", "br-int", "mirrors=@m")
	r.MustExec("", "ip", "link", "set", "copies", "up")
	r.MustExec("", "nft", "add table netdev copied; add chain netdev copied in { type filter hook ingress device copies priority 0; }; "+
		"add counter netdev copied echoes; add rule netdev copied in icmp type { echo-request, echo-reply } counter name echoes")
	t.Cleanup(func() { r.MustExec("", "nft", "delete table netdev copied") })
	ping := func(want int) {
		t.Helper()
		r.MustExec(from.netns, "ping", "-c", "5", "-i", "0.05", "-W", "10", "10.16.0.11")
		if said := r.MustExec("", "nft", "list counter netdev copied echoes"); !strings.Contains(said, fmt.Sprintf("packets %d ", want)) {
			t.Errorf("want %d packets: %s", want, said)
		}
	}
	ping(10)
	gone.must("DEL")
	if <-purged {
		t.Error("all flows were purged for a port that is gone")
	}
	ping(20)
	r.VSCtl("clear", "Bridge", "br-int", "mirrors")
	if !<-purged {
		t.Error("nothing was purged")
	}
	ping(20)
}
