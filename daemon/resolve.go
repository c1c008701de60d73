package daemon

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/heddle-net/heddle/daemon/dns"
	"github.com/heddle-net/heddle/daemon/domain"
	"github.com/heddle-net/heddle/daemon/port"
	"github.com/heddle-net/heddle/ovs/vswitch"
)

// An answer of DNS waits so long at most for the network: resolvers ask again after 5 s (resolv.conf(5)). A gate that has failed is opened
// again so long after.
const (
	answerHold = time.Second
	gateAgain  = 10 * time.Second
)

// resolver holds back what Pods are answered by DNS for names that policies allow, until the Pods reach the addresses. While no policy
// allows any, nobody looks at answers.
type resolver struct {
	book    *domain.Book
	ovs     *vswitch.Client
	servers func() []netip.Addr // whose answers count
	wake    signal              // the first name, or the last one gone, or other servers
	log     logr.Logger
}

// Run works until ctx is done.
func (r *resolver) Run(ctx context.Context) error {
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return r.book.Run(ctx) })
	parts.Go(func() error { return r.told(ctx) })
	parts.Go(func() error { return r.gates(ctx) })
	return parts.Wait()
}

// told passes on that ovn-controller has caught up.
func (r *resolver) told(ctx context.Context) error {
	installed, done := r.ovs.SubscribeInstalled()
	defer done()
	for {
		select {
		case <-installed:
			r.book.Installed()
		case <-ctx.Done():
			return nil
		}
	}
}

// gate is one that runs.
type gate struct {
	*dns.Gate
	servers []netip.Addr
	stop    context.CancelFunc
	ended   chan error
}

func (r *resolver) open(ctx context.Context, servers []netip.Addr) *gate {
	ctx, stop := context.WithCancel(ctx)
	g := &gate{
		Gate:    dns.New(dns.Config{Servers: servers, Hold: r.book.Hold, Limit: answerHold, Log: r.log}),
		servers: servers, stop: stop, ended: make(chan error, 1),
	}
	go func() { g.ended <- g.Run(ctx) }()
	return g
}

func (g *gate) close(log logr.Logger) {
	if g == nil {
		return
	}
	g.stop()
	if err := <-g.ended; err != nil {
		log.Error(err, "something of what looked at answers of DNS may be left")
	}
}

func (r *resolver) gates(ctx context.Context) error {
	links, done := r.ovs.Subscribe(port.IsHostName)
	defer done()
	var g *gate
	defer func() { g.close(r.log) }()
	var again <-chan time.Time
	for {
		if again == nil {
			g = r.follow(ctx, g)
		}
		var ended chan error
		if g != nil {
			ended = g.ended
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-links:
		case <-again:
			again = nil
		case err := <-ended:
			g.stop()
			g, again = nil, time.After(gateAgain)
			if ctx.Err() == nil {
				r.log.Error(err, "answers of DNS are not looked at: policies allow no names until they are")
			}
		}
	}
}

// follow has a gate run exactly while it is needed, on the links that there are.
func (r *resolver) follow(ctx context.Context, g *gate) *gate {
	var servers []netip.Addr
	if !r.book.Empty() {
		servers = r.servers()
	}
	if g != nil && !slices.Equal(g.servers, servers) {
		g.close(r.log)
		g = nil
	}
	if g == nil && len(servers) > 0 {
		g = r.open(ctx, servers)
	}
	if g == nil {
		return nil
	}
	rows, err := r.ovs.Interfaces(ctx, func(i *vswitch.Interface) bool { return i.Ours() && port.IsHostName(i.Name) })
	if err != nil {
		return g // the database is away; its return is a change
	}
	names := make([]string, len(rows))
	for i, row := range rows {
		names[i] = row.Name
	}
	g.SetLinks(names)
	return g
}
