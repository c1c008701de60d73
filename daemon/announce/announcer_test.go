package announce

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/go-logr/logr/testr"
	"github.com/vishvananda/netlink"
)

const deadline = time.Minute

// lan is a network of nodes and one client, and their Leases, of which all hear at once.
type lan struct {
	t              *testing.T
	world          World
	bridge, client ns.NetNS
	nodes          []*answerer
	changed        chan struct{}

	mu      sync.Mutex
	leases  map[string]Lease
	renewed int
	running map[*answerer]hearing
}

// hearing is how a node hears of Leases.
type hearing struct {
	peers *Peers
	wake  chan struct{}
}

// answerer is a node that answers for addresses.
type answerer struct {
	lan   *lan
	name  string
	netns ns.NetNS
	mac   string
	stop  func()

	kernel *netlink.Handle // in the namespace

	cut, unready atomic.Bool                   // it does not reach the API server; its network does not work
	still        atomic.Pointer[chan struct{}] // it does nothing until that is closed
	assigned     atomic.Int64
}

// newLAN has two nodes that do not answer yet, and a Service with many addresses, so that each node has some.
func newLAN(t *testing.T) *lan {
	if os.Getuid() != 0 {
		t.Skip("network namespaces take root")
	}
	l := &lan{t: t, changed: make(chan struct{}, 1), leases: map[string]Lease{}, running: map[*answerer]hearing{}}
	l.world.Pools = []Pool{{Name: "lan", CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:1::/64")}}}
	web := &Service{Namespace: "default", Name: "web"}
	for i := range 4 {
		web.Addrs = append(web.Addrs, addrOf(fmt.Sprintf("192.0.2.%d", 200+i)), addrOf(fmt.Sprintf("2001:db8:1::%d", 200+i)))
	}
	l.world.Services = []*Service{web}
	l.bridge = l.namespace()
	l.run(l.bridge, "ip link add lan type bridge")
	l.run(l.bridge, "ip link set lan up")
	l.client = l.plug(100)
	for i := range 2 {
		a := &answerer{lan: l, name: fmt.Sprintf("n%d", i+1), netns: l.plug(11 + i), mac: fmt.Sprintf("02:00:00:00:00:%02x", 11+i)}
		if err := a.netns.Do(func(ns.NetNS) (err error) { a.kernel, err = netlink.NewHandle(); return err }); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.kernel.Close)
		l.nodes = append(l.nodes, a)
		l.world.Nodes = append(l.world.Nodes, Node{
			Name: a.name, Ready: true, IPs: []netip.Addr{addrOf(fmt.Sprintf("192.0.2.%d", 11+i)), addrOf(fmt.Sprintf("2001:db8:1::%d", 11+i))},
		})
	}
	return l
}

func (l *lan) namespace() ns.NetNS {
	l.t.Helper()
	netns, err := ns.TempNetNS()
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { netns.Close() })
	return netns
}

func pathOf(netns ns.NetNS) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), netns.Fd()) }

func (l *lan) run(netns ns.NetNS, command string) string {
	l.t.Helper()
	out, err := exec.Command("nsenter", append([]string{"--net=" + pathOf(netns)}, strings.Fields(command)...)...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// plug makes a network namespace with a link into the network.
func (l *lan) plug(host int) ns.NetNS {
	netns := l.namespace()
	l.run(l.bridge, fmt.Sprintf("ip link add port%d type veth peer name eth0 address 02:00:00:00:00:%02x netns %s", host, host, pathOf(netns)))
	l.run(l.bridge, fmt.Sprintf("ip link set port%d master lan up", host))
	l.run(netns, fmt.Sprintf("ip addr add 192.0.2.%d/24 dev eth0", host))
	l.run(netns, fmt.Sprintf("ip addr add 2001:db8:1::%d/64 dev eth0 nodad", host))
	l.run(netns, "ip link set eth0 up")
	return netns
}

// renew writes a Lease, of which all nodes hear.
func (l *lan) renew(node string, held bool, patience time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed++
	l.leases[node] = Lease{Held: held, Renewed: fmt.Sprint(l.renewed), Patience: patience}
	for _, h := range l.running {
		h.hear(node, l.leases[node])
	}
}

func (h hearing) hear(node string, lease Lease) {
	h.peers.Put(node, lease)
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// listen is how a node hears, from what there is on.
func (l *lan) listen(a *answerer) hearing {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := hearing{&Peers{}, make(chan struct{}, 1)}
	for node, lease := range l.leases {
		h.hear(node, lease)
	}
	l.running[a] = h
	return h
}

func (l *lan) held(node string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leases[node].Held
}

// start begins to answer; stop ends it as a process does that is told to end.
func (a *answerer) start() {
	l := a.lan
	h := l.listen(a)
	synced := make(chan struct{})
	close(synced)
	announcer := New(Config{
		Node: a.name, Wake: h.wake, Peers: h.peers, Synced: synced, Log: testr.New(l.t), World: a.look, Assigned: a.alone,
		Held:  func(context.Context) (bool, error) { return l.held(a.name), a.fails(&a.cut) },
		Ready: func() error { return a.fails(&a.unready) },
		Renew: func(_ context.Context, held bool, patience time.Duration) error {
			if err := a.fails(&a.cut); err != nil {
				return err
			}
			l.renew(a.name, held, patience)
			return nil
		},
		Answering: func(int, int) {
			select {
			case l.changed <- struct{}{}:
			default:
			}
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.netns.Do(func(ns.NetNS) error { return announcer.Run(ctx) }) }()
	a.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			l.t.Error(err)
		}
	})
	l.t.Cleanup(func() { a.stop() })
}

// look stands still where the process does.
func (a *answerer) look() World {
	if still := a.still.Load(); still != nil {
		<-*still
	}
	return a.lan.world
}

var errFails = errors.New("it fails")

func (a *answerer) fails(flag *atomic.Bool) error {
	if flag.Load() {
		return errFails
	}
	return nil
}

// alone is told when the node begins to answer for an address. Who is silent has stopped by then.
func (a *answerer) alone(_ *Service, addr netip.Addr) {
	a.assigned.Add(1)
	for _, other := range a.lan.nodes {
		if other != a && (other.cut.Load() || other.still.Load() != nil) && other.has(addr) {
			a.lan.t.Errorf("%s begins to answer for %s while %s does", a.name, addr, other.name)
		}
	}
}

// has tells whether the kernel of the node answers for the address.
func (a *answerer) has(addr netip.Addr) bool {
	list, err := a.kernel.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		a.lan.t.Error(err)
	}
	return slices.ContainsFunc(list, func(have netlink.Addr) bool { return have.IP.Equal(addr.AsSlice()) })
}

// settled tells who has each address, if that is one of these nodes each.
func (l *lan) settled(of ...*answerer) (map[netip.Addr]*answerer, bool) {
	owners := map[netip.Addr]*answerer{}
	for _, addr := range l.world.Services[0].Addrs {
		for _, a := range l.nodes {
			if !a.has(addr) {
				continue
			}
			if owners[addr] != nil || !slices.Contains(of, a) {
				return nil, false
			}
			owners[addr] = a
		}
	}
	return owners, len(owners) == len(l.world.Services[0].Addrs)
}

// until looks whenever a node has looked at its links.
func (l *lan) until(what string, so func() bool) {
	l.t.Helper()
	for end := time.After(deadline); !so(); {
		select {
		case <-l.changed:
		case <-end:
			for _, a := range l.nodes {
				l.t.Logf("%s: %s", a.name, l.run(a.netns, "ip -o addr show dev eth0"))
			}
			l.t.Fatalf("%s: not within %v", what, deadline)
		}
	}
}

func (l *lan) untilSettled(of ...*answerer) (owners map[netip.Addr]*answerer) {
	l.t.Helper()
	l.until("each address is answered for by one node", func() (ok bool) { owners, ok = l.settled(of...); return ok })
	return owners
}

// asks lets the client talk to each address, and wants it to find the node that has it.
func (l *lan) asks(owners map[netip.Addr]*answerer) {
	l.t.Helper()
	for addr, a := range owners {
		l.ask(addr)
		if known := l.run(l.client, "ip neigh show "+addr.String()); !strings.Contains(known, a.mac) {
			l.t.Errorf("the client finds %s at %q, want %s of %s", addr, known, a.mac, a.name)
		}
	}
}

// ask sends datagrams to a port that nobody has, which the kernel that has the address refuses. One that is sent while the address
// moves is lost.
func (l *lan) ask(addr netip.Addr) {
	l.t.Helper()
	err := l.client.Do(func(ns.NetNS) error {
		conn, err := net.Dial("udp", netip.AddrPortFrom(addr, 9).String())
		if err != nil {
			return err
		}
		defer conn.Close()
		for began := time.Now(); time.Since(began) < deadline; {
			if err = conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
				return err
			}
			if _, err = conn.Write([]byte("?")); err == nil {
				_, err = conn.Read(make([]byte, 1))
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return err
			}
		}
		return err
	})
	if !errors.Is(err, syscall.ECONNREFUSED) {
		l.t.Errorf("%s is asked: %v, want to be refused by its node", addr, err)
	}
}

// untilTold waits until the client, which does not ask, knows by itself where the addresses are.
func (l *lan) untilTold(owners map[netip.Addr]*answerer) {
	l.t.Helper()
	l.until("the client is told", func() bool {
		for addr, a := range owners {
			if !strings.Contains(l.run(l.client, "ip neigh show "+addr.String()), a.mac) {
				return false
			}
		}
		return true
	})
}

// TestAnnounce has two nodes answer for addresses of both families, and a client that asks: each is answered for by one of them, moves
// when that one stops for whatever reason, not before it has, and comes back.
func TestAnnounce(t *testing.T) {
	l := newLAN(t)
	one, two := l.nodes[0], l.nodes[1]
	both := map[netip.Addr]*answerer{}
	for addr, candidates := range Candidates(l.world) {
		both[addr] = l.nodes[slices.Index([]string{"n1", "n2"}, owner(addr, candidates, func(string) bool { return true }))]
	}
	back := func(t *testing.T) {
		t.Helper()
		l.until("each address is where it belongs", func() bool { now, ok := l.settled(one, two); return ok && maps.Equal(now, both) })
		l.asks(both)
	}
	only := func(t *testing.T, a *answerer) {
		t.Helper()
		began := time.Now()
		owners := l.untilSettled(a)
		t.Logf("moved after %v", time.Since(began).Round(10*time.Millisecond))
		l.untilTold(owners)
		l.asks(owners)
	}
	one.start()
	l.asks(l.untilSettled(one))
	two.start()
	back(t)
	for _, question := range []string{"ip route get 192.0.2.100", "ip -6 route get 2001:db8:1::100"} {
		if source := l.run(one.netns, question); !strings.Contains(source, "src 192.0.2.11 ") && !strings.Contains(source, "src 2001:db8:1::11 ") {
			t.Errorf("n1 speaks as %s", source)
		}
	}
	t.Run("cut off from the API server", func(t *testing.T) {
		one.cut.Store(true)
		only(t, two)
		one.cut.Store(false)
		back(t)
	})
	t.Run("standing still", func(t *testing.T) {
		still := make(chan struct{})
		two.still.Store(&still)
		only(t, one)
		two.still.Store(nil)
		close(still)
		back(t)
	})
	t.Run("out of order", func(t *testing.T) {
		two.unready.Store(true)
		only(t, one)
		two.unready.Store(false)
		back(t)
	})
	t.Run("restarted", func(t *testing.T) {
		one.stop()
		before := two.assigned.Load()
		if owners, ok := l.settled(one, two); !ok || !maps.Equal(owners, both) {
			t.Error("the addresses of a process that is told to end do not stay")
		}
		one.start()
		back(t)
		if n := two.assigned.Load() - before; n != 0 {
			t.Errorf("%d addresses have moved", n)
		}
	})
	t.Run("removed by hand", func(t *testing.T) {
		for addr, a := range both {
			l.run(a.netns, "ip addr del "+addr.String()+" dev eth0")
		}
		back(t)
	})
	t.Run("the node's address is put anew", func(t *testing.T) {
		l.run(one.netns, "ip addr del 192.0.2.11/24 dev eth0")
		l.run(one.netns, "ip addr add 192.0.2.11/24 dev eth0")
		l.until("the node's own address is the first", func() bool {
			return strings.Fields(l.run(one.netns, "ip -4 -o addr show dev eth0"))[3] == "192.0.2.11/24"
		})
		back(t)
	})
}
