package daemon

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/heddle-net/heddle/daemon/announce"
	"github.com/heddle-net/heddle/daemon/domain"
	"github.com/heddle-net/heddle/daemon/host"
	"github.com/heddle-net/heddle/daemon/port"
	"github.com/heddle-net/heddle/daemon/service"
	"github.com/heddle-net/heddle/ovs/vswitch"
)

// daemon is the process: its parts and what connects them.
type daemon struct {
	cfg     Config
	log     logr.Logger
	kube    *kube
	tables  *tables
	feed    *feed
	ovs     atomic.Pointer[vswitch.Client]
	metrics *metrics

	ready        readiness
	readyChanged signal // something that ready asks may have changed
	chassisReady *condition
	hostReady    *condition
	chassisWake  signal
	hostWake     signal
	healthWake   signal
	announceWake signal
	cutWake      signal
	resolveWake  signal
	shapeWake    signal
	mirrorWake   signal
	book         *domain.Book
	peers        announce.Peers
	assigned     chan assignment
}

// Run is the daemon. It returns when ctx is done, after operations in hand have ended, or when it cannot start.
//
// The order matters. Health answers first. Requests are taken as soon as OVS is there: a DEL needs no API server, an ADD
// waits for its Pod. The CNI configuration is written last.
func Run(ctx context.Context, cfg Config, log logr.Logger) error {
	k, err := newKube(cfg.Kube)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	d := newDaemon(cfg, log, k, newMetrics(registry))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serveHTTP(ctx, cfg.HealthAddr, healthHandler(d.ready.check)) })
	group.Go(func() error {
		return serveHTTP(ctx, cfg.MetricsAddr, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	})
	group.Go(func() error { return d.feed.Run(ctx) })
	group.Go(func() error { return d.health(ctx) })
	group.Go(func() error { return d.announce(ctx) })
	group.Go(func() error { return d.tellAssigned(ctx) })
	group.Go(func() error { return d.node(ctx) })
	return group.Wait()
}

func newDaemon(cfg Config, log logr.Logger, k *kube, m *metrics) *daemon {
	d := &daemon{
		cfg: cfg, log: log, kube: k, metrics: m, tables: &tables{},
		readyChanged: newSignal(), chassisWake: newSignal(), hostWake: newSignal(), healthWake: newSignal(), announceWake: newSignal(), cutWake: newSignal(), resolveWake: newSignal(), shapeWake: newSignal(), mirrorWake: newSignal(),
		assigned: make(chan assignment, mostAssignments),
	}
	d.tables.services = service.NewIndex(cfg.NodeName, func() { d.hostWake.set(); d.healthWake.set(); d.announceWake.set(); d.cutWake.set() })
	d.book = domain.NewBook(k, log.WithName("dns"), d.resolveWake.set)
	starting := errors.New("it is starting")
	d.chassisReady = &condition{err: starting, changed: []signal{d.readyChanged, d.announceWake}}
	d.hostReady = &condition{err: starting, changed: []signal{d.readyChanged, d.announceWake}}
	d.feed = &feed{synced: make(chan struct{}), wake: []signal{d.readyChanged, d.announceWake}, sources: []interface{ informer() cache.Controller }{
		k.podSource(cfg.NodeName, d.tables, d.shapeWake, d.hostWake, d.mirrorWake),
		k.namespaceSource(d.tables, d.shapeWake),
		k.subnetSource(d.tables, cfg.JoinSubnet, d.shapeWake, d.hostWake, d.announceWake),
		k.nodeSource(d.tables, d.hostWake, d.chassisWake, d.announceWake),
		k.leaseSource(cfg.Namespace, &d.peers, d.announceWake),
		k.serviceSource(d.tables.services),
		k.endpointSource(d.tables.services),
		k.serviceCIDRSource(d.tables, log, d.hostWake),
		k.resolverSource(d.book),
		k.mirrorSource(d.tables, d.hostWake, d.mirrorWake),
		k.dnsSource(cfg.DNSService, d.tables, d.resolveWake),
	}}
	if cfg.SouthboundAddr == "" {
		namespace, service, _ := strings.Cut(cfg.SouthboundService, "/")
		d.feed.sources = append(d.feed.sources, k.southboundSource(namespace, service, d.tables, d.chassisWake))
	}
	d.ready = readiness{
		{"ovs", d.ovsConnected}, {"kubernetes", d.feed.isSynced}, {"ovn", d.chassisReady.get}, {"host network", d.hostReady.get},
	}
	return d
}

// node starts what needs the node's Open_vSwitch database, once it answers.
func (d *daemon) node(ctx context.Context) error {
	ovs, err := vswitch.Connect(ctx, vswitch.Config{Endpoint: d.cfg.OVSSocket, Log: d.log.WithName("ovsdb")})
	if err != nil {
		return stopped(ctx, err)
	}
	defer ovs.Close()
	d.ovs.Store(ovs)
	datapath, err := chooseDatapath(ctx, d.cfg.Datapath, ovs)
	if err != nil {
		return stopped(ctx, err)
	}
	d.log.Info("connected to Open vSwitch", "datapath", datapath)
	manager, err := port.New(port.Config{
		OVS: ovs, Bridge: host.BridgeInt, Pods: &d.tables.pods, Subnets: &d.tables.subnets, Namespaces: &d.tables.namespaces,
		MTU: podMTU(d.cfg.MTU, &d.tables.tunnel), SoftwareChecksums: datapath == host.DatapathNetdev,
		Shaped:  func(p port.Pod, err error) { d.tellShape(ctx, p, err) },
		Observe: d.metrics.part, Log: d.log.WithName("port"),
	})
	if err != nil {
		return err
	}
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error {
		return (&chassis{
			cfg: d.cfg, datapath: datapath, ovs: ovs, tables: d.tables, annotate: d.kube.annotateNode,
			wake: d.chassisWake, ready: d.chassisReady, log: d.log.WithName("chassis"),
		}).Run(ctx)
	})
	parts.Go(func() error {
		return (&Server{Socket: d.cfg.Socket, Handler: handler(manager, d.ready.check, d.metrics), Log: d.log.WithName("cni")}).Run(ctx)
	})
	parts.Go(func() error { return d.host(ctx, ovs, datapath) })
	parts.Go(func() error {
		installed, done := ovs.SubscribeInstalled()
		defer done()
		return (&cutter{
			switchd: switchd{d.cfg.OVSSocket}, services: d.tables.services, wake: d.cutWake, installed: installed, log: d.log.WithName("cutter"),
		}).Run(ctx)
	})
	parts.Go(func() error {
		return (&resolver{book: d.book, ovs: ovs, servers: d.dnsServers, wake: d.resolveWake, log: d.log.WithName("dns")}).Run(ctx)
	})
	parts.Go(func() error {
		return (&mirrors{
			tables: d.tables, ovs: ovs, manager: manager, nodes: d.nodeMirror, wake: d.mirrorWake, synced: d.feed.synced, log: d.log.WithName("mirror"),
		}).Run(ctx)
	})
	parts.Go(func() error {
		return (&unmirror{switchd: switchd{d.cfg.OVSSocket}, ovs: ovs, log: d.log.WithName("mirror")}).Run(ctx)
	})
	parts.Go(func() error { return d.install(ctx) })
	parts.Go(func() error { return d.sweep(ctx, manager) })
	parts.Go(func() error { return d.shape(ctx, manager) })
	return parts.Wait()
}

// ovsConnected is asked when it is wanted: a lost connection is no event.
func (d *daemon) ovsConnected() error {
	if c := d.ovs.Load(); c == nil || !c.Connected() {
		return errors.New("the Open_vSwitch database does not answer")
	}
	return nil
}

// stopped hides the error of something that was broken off because the daemon ends.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// host runs the node's own network: its settings go in whenever an object that they are made of changes.
func (d *daemon) host(ctx context.Context, ovs *vswitch.Client, datapath host.Datapath) error {
	ip, err := tunnelIP(ctx, d.cfg, d.tables, ovs)
	if err != nil {
		return stopped(ctx, err)
	}
	d.tables.tunnel.Put("", ip)
	changed, done := ovs.Subscribe(notPod)
	defer done()
	var h *host.Host
	h = host.New(host.Config{
		NodeName: d.cfg.NodeName, ServiceCIDRs: d.cfg.ServiceCIDRs, Datapath: datapath, EncapIP: ip, MTU: d.cfg.MTU,
		OVS: hostOVS{ovs, changed}, Log: d.log.WithName("host"),
		Report: func(host.Report) { d.hostReady.set(h.Ready()) },
	})
	return d.runHost(ctx, h, ovs)
}

func (d *daemon) runHost(ctx context.Context, h *host.Host, ovs *vswitch.Client) error {
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return h.Run(ctx) })
	parts.Go(func() error {
		select {
		case <-d.feed.synced: // an empty table must not empty the node
		case <-ctx.Done():
			return nil
		}
		for {
			in := d.hostInput()
			in.NoMirrors = d.oldMirrorLinks(ctx, ovs, in.Mirrors)
			h.Update(in)
			select {
			case <-d.hostWake:
			case <-ctx.Done():
				return nil
			}
		}
	})
	return parts.Wait()
}

// hostInput is sorted: the same objects are the same input.
func (d *daemon) hostInput() host.Input {
	me, _ := d.tables.nodes.Get(d.cfg.NodeName)
	in := host.Input{IP: me.ip, MAC: me.mac, CIDR: me.cidr, Gateway: me.gw, ServiceCIDRs: d.tables.allServiceCIDRs()}
	for _, s := range d.tables.networks.Values() {
		if s.overlay {
			in.Subnets = append(in.Subnets, s.Subnet)
		}
	}
	for _, ip := range me.internalIPs {
		in.OwnIPs = append(in.OwnIPs, ip.String())
	}
	for _, n := range d.tables.nodes.Values() {
		for _, ip := range n.internalIPs {
			in.NodeIPs = append(in.NodeIPs, ip.String())
		}
	}
	slices.SortFunc(in.Subnets, func(a, b host.Subnet) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(in.NodeIPs)
	slices.Sort(in.OwnIPs)
	d.tables.services.SetInside(prefixesOf(in.Subnets))
	d.tables.services.SetZone(me.zone)
	in.Services = d.tables.services.Rows()
	in.Balancers = slices.SortedFunc(maps.Keys(announce.Candidates(d.world())), netip.Addr.Compare)
	in.Mirrors = d.mirrorLinks()
	return in
}

// dnsServers are those whose answers say what a name means, sorted: the cluster's, and the one of the node.
func (d *daemon) dnsServers() []netip.Addr {
	servers := slices.Clone(d.cfg.NodeLocalDNS)
	for _, s := range d.tables.dns.Values() {
		servers = append(servers, s...)
	}
	slices.SortFunc(servers, netip.Addr.Compare)
	return slices.Compact(servers)
}

// prefixesOf leaves out what is no CIDR: package host reports that.
func prefixesOf(subnets []host.Subnet) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range subnets {
		for text := range strings.SplitSeq(s.CIDR, ",") {
			if p, err := netip.ParsePrefix(strings.TrimSpace(text)); err == nil {
				out = append(out, p)
			}
		}
	}
	return out
}

// health answers the health checks of load balancers; before the tables are complete, nobody could.
func (d *daemon) health(ctx context.Context) error {
	select {
	case <-d.feed.synced:
	case <-ctx.Done():
		return nil
	}
	h := service.Health{Checks: d.tables.services.Checks, Wake: d.healthWake, Ready: d.hostReady.get, Log: d.log.WithName("health")}
	return h.Run(ctx)
}

// install writes the CNI configuration once everything works, and leaves it there for good: a node whose daemon restarts keeps its
// network.
func (d *daemon) install(ctx context.Context) error {
	if err := installPlugin(d.cfg); err != nil {
		return err
	}
	for d.ready.check() != nil {
		select {
		case <-d.readyChanged:
		case <-ctx.Done():
			return nil
		}
	}
	portmap, err := installConflist(d.cfg)
	if err != nil {
		return err
	}
	d.log.Info("the node's network is ready", "conflist", conflistName, "hostPort", portmap)
	return nil
}

// A Pod whose traffic cannot be shaped is tried again so long after.
const shapeAgain = 10 * time.Second

// shape keeps what Pods' packets go through as their annotations have it, once the tables are complete.
func (d *daemon) shape(ctx context.Context, m *port.Manager) error {
	select {
	case <-d.feed.synced:
	case <-ctx.Done():
		return nil
	}
	adopted := false
	for {
		var err error
		if !adopted {
			err = m.Adopt(ctx)
			adopted = err == nil
		}
		err = errors.Join(err, m.Reshape(ctx))
		var again <-chan time.Time
		if err != nil && ctx.Err() == nil {
			d.log.Error(err, "traffic of Pods is not shaped as it is to be")
			again = time.After(shapeAgain)
		}
		select {
		case <-d.shapeWake:
		case <-again:
		case <-ctx.Done():
			return nil
		}
	}
}

// tellShape says on the Pod that its traffic is not shaped.
func (d *daemon) tellShape(ctx context.Context, p port.Pod, err error) {
	if err == nil {
		return
	}
	event := eventAbout("Pod", p.Namespace, p.Name, p.UID, d.cfg.NodeName)
	event.Type, event.Reason, event.Message = corev1.EventTypeWarning, "TrafficNotShaped", err.Error()
	if err := d.kube.postEvent(ctx, event); err != nil && ctx.Err() == nil {
		d.log.Info("cannot write an Event", "reason", err.Error())
	}
}

// sweep runs once the table of Pods is complete.
func (d *daemon) sweep(ctx context.Context, m *port.Manager) error {
	select {
	case <-d.feed.synced:
	case <-ctx.Done():
		return nil
	}
	if err := m.Sweep(ctx); err != nil && ctx.Err() == nil {
		d.log.Error(err, "cannot remove the ports of containers that are gone")
	}
	return nil
}
