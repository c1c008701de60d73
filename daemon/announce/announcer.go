package announce

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/go-logr/logr"
)

// The times of a takeover. A node that is gone is missed patience after its last renewal at the latest; what it has on its links
// ended validity after it, and up to a second later if the kernel had much to do.
const (
	renewEvery   = time.Second
	renewAgain   = 250 * time.Millisecond  // after a failure
	renewTimeout = 2500 * time.Millisecond // for one attempt
	validity     = 3 * time.Second
	patience     = 4 * time.Second

	// restartPatience is asked for by a process that ends on purpose, and given to one that starts to be ready again.
	restartPatience = 10 * time.Second
	// unreadyPatience is for how long a node may be out of order before it gives up what it answers for.
	unreadyPatience = 3 * time.Second

	announcements = 3 // of each address, one with each renewal
)

// Config is what an Announcer needs.
type Config struct {
	Node  string
	World func() World
	// Wake yields a value after a change of World, Peers or Ready; several may be one.
	Wake   <-chan struct{}
	Peers  *Peers
	Synced <-chan struct{} // closed when World and Peers are complete
	Ready  func() error    // why this node's network does not work
	// Renew writes this node's Lease, and Held reads whether it is held.
	Renew func(ctx context.Context, held bool, patience time.Duration) error
	Held  func(ctx context.Context) (bool, error)
	// Assigned is told, once each time, that this node answers for an address from now on. It must not block.
	Assigned func(s *Service, addr netip.Addr)
	// Answering is told how many addresses of each family this node answers for.
	Answering func(v4, v6 int)
	Log       logr.Logger
}

// Announcer answers for addresses. Make it with New.
type Announcer struct {
	cfg   Config
	links links

	started time.Time
	// continued says that the process before us has left a Lease that is held.
	continued bool
	everReady bool
	unready   time.Time // since when; zero = it is ready

	world      World
	candidates map[netip.Addr][]string

	held    bool // the Lease is, as far as we know
	renewal renewal
	granted time.Time          // until when we may answer
	renewed bool               // since the links were last written
	mine    map[netip.Addr]int // announcements that are left to send
	told    string             // the last error that was logged
}

// New makes an Announcer; nothing is touched before Run.
func New(cfg Config) *Announcer {
	return &Announcer{cfg: cfg, mine: map[netip.Addr]int{}}
}

// Run answers until ctx is done, and leaves the addresses then to its successor, for a while.
func (a *Announcer) Run(ctx context.Context) (err error) {
	if a.links, err = openLinks(); err != nil {
		return err
	}
	defer a.links.nl.Close()
	a.started = time.Now()
	a.unready = a.started
	a.resume(ctx)
	a.renewal = newRenewal(ctx, a.cfg.Renew)
	defer a.leave(ctx)
	defer a.renewal.end()
	for ctx.Err() == nil {
		a.step(time.Now())
		a.wait(ctx)
	}
	return nil
}

// resume looks whether there is a Lease to go on with. Without an answer there is none: its time is over then.
func (a *Announcer) resume(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	held, err := a.cfg.Held(ctx)
	a.tell(err)
	a.continued, a.held = held, held
}

// wait returns when there may be something to do.
func (a *Announcer) wait(ctx context.Context) {
	timer := time.NewTimer(time.Until(a.next(time.Now())))
	defer timer.Stop()
	select {
	case <-a.cfg.Wake:
	case <-timer.C:
	case done := <-a.renewal.done:
		a.finish(done)
	case <-ctx.Done():
	}
}

// next is the time of the next step at the latest.
func (a *Announcer) next(now time.Time) time.Time {
	at := now.Add(time.Hour)
	for _, other := range []time.Time{a.renewal.next, a.granted, a.cfg.Peers.next(now), a.patienceEnds()} {
		if other.After(now) && other.Before(at) {
			at = other
		}
	}
	return at
}

// step does all that the moment asks for.
func (a *Announcer) step(now time.Time) {
	synced := a.synced()
	if synced {
		a.world = a.cfg.World()
		a.candidates = Candidates(a.world)
	}
	wanted := a.fit(now) && (a.isCandidate() || !synced && a.continued)
	switch {
	case wanted:
		a.renewal.start(now, true, patience)
	case a.held:
		a.renewal.start(now, false, patience)
	default:
		a.renewal.next = time.Time{}
	}
	if !wanted {
		a.granted = time.Time{}
	}
	a.tell(a.apply(synced))
}

func (a *Announcer) synced() bool {
	select {
	case <-a.cfg.Synced:
		return true
	default:
		return false
	}
}

func (a *Announcer) isCandidate() bool {
	for _, nodes := range a.candidates {
		if slices.Contains(nodes, a.cfg.Node) {
			return true
		}
	}
	return false
}

// fit tells whether the node's network works, or has not failed for long. One that goes on with a Lease has time to get ready.
func (a *Announcer) fit(now time.Time) bool {
	if a.cfg.Ready() == nil {
		a.everReady, a.unready = true, time.Time{}
		return true
	}
	if a.unready.IsZero() {
		a.unready = now
	}
	return now.Before(a.patienceEnds())
}

func (a *Announcer) patienceEnds() time.Time {
	switch {
	case a.unready.IsZero():
		return time.Time{}
	case a.everReady:
		return a.unready.Add(unreadyPatience)
	case a.continued:
		return a.unready.Add(restartPatience)
	}
	return a.unready
}

// finish takes the result of an attempt to write the Lease.
func (a *Announcer) finish(done attempt) {
	a.renewal.finished(done)
	a.tell(done.err)
	if done.err != nil {
		return
	}
	a.held = done.held
	if done.held {
		a.granted, a.renewed = done.began.Add(validity), true
	}
}

// elected are the addresses that this node has to answer for.
func (a *Announcer) elected(now time.Time) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	if !now.Before(a.granted) {
		return out
	}
	alive := a.cfg.Peers.alive(a.cfg.Node, now)
	for addr, candidates := range a.candidates {
		if slices.Contains(candidates, a.cfg.Node) && owner(addr, candidates, alive) == a.cfg.Node {
			out[addr] = true
		}
	}
	return out
}

// apply makes the links have what this node answers for. Before all is known, what is there is only kept alive. It looks at the clock
// by itself, and again for each address: the process may have stood still since this step began.
func (a *Announcer) apply(synced bool) error {
	have, err := a.links.read()
	if err != nil {
		return err
	}
	if !synced {
		return a.keep(have)
	}
	elected := a.elected(time.Now())
	var errs []error
	want := map[place]bool{}
	for addr := range elected {
		if link, ok := have.links[a.world.nodeIn(a.cfg.Node, addr)]; ok {
			want[place{link, addr}] = true
		}
	}
	for p := range have.ours {
		if !want[p] || have.early[p] {
			errs = append(errs, a.links.remove(p))
			delete(have.ours, p)
		}
	}
	for p := range want {
		if a.renewed || !have.ours[p] {
			errs = append(errs, a.refresh(p))
		}
	}
	maps.DeleteFunc(a.mine, func(addr netip.Addr, _ int) bool { return !elected[addr] })
	a.renewed = false
	a.count()
	return errors.Join(errs...)
}

// keep prolongs what is on the links.
func (a *Announcer) keep(have state) error {
	if !a.renewed {
		return nil
	}
	a.renewed = false
	var errs []error
	for p := range have.ours {
		errs = append(errs, a.put(p))
	}
	return errors.Join(errs...)
}

func (a *Announcer) put(p place) error {
	return a.links.put(p, max(time.Until(a.granted).Round(time.Second), time.Second))
}

// refresh puts an address on its link and, when it is new here, tells the network and the Service.
func (a *Announcer) refresh(p place) error {
	if err := a.put(p); err != nil {
		return err
	}
	left, known := a.mine[p.addr]
	if !known {
		left = announcements
		a.cfg.Log.Info("answering for an address", "address", p.addr)
		a.cfg.Assigned(a.world.serviceOf(p.addr), p.addr)
	}
	a.mine[p.addr] = max(left-1, 0)
	if left == 0 {
		return nil
	}
	return a.links.announce(p)
}

func (a *Announcer) count() {
	var v4, v6 int
	for addr := range a.mine {
		if addr.Is4() {
			v4++
		} else {
			v6++
		}
	}
	a.cfg.Answering(v4, v6)
}

// leave gives the successor of this process time: others wait for longer, and what is on the links stays for as long.
func (a *Announcer) leave(ctx context.Context) {
	now := time.Now()
	if !a.held || !now.Before(a.granted) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewTimeout)
	defer cancel()
	err := a.cfg.Renew(ctx, true, restartPatience)
	have, readErr := a.links.read()
	if err = errors.Join(err, readErr); err == nil {
		for p := range have.ours {
			err = errors.Join(err, a.links.put(p, time.Until(now.Add(restartPatience-time.Second)).Round(time.Second)))
		}
	}
	a.tell(err)
}

// tell logs an error that is not the last one again.
func (a *Announcer) tell(err error) {
	if err == nil {
		return
	}
	if text := err.Error(); text != a.told {
		a.told = text
		a.cfg.Log.Info("addresses of load balancers: will be tried again", "reason", text)
	}
}
