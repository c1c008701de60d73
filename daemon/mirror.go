package daemon

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/crds/heddle"
	"github.com/heddle-net/heddle/daemon/host"
	"github.com/heddle-net/heddle/daemon/port"
	"github.com/heddle-net/heddle/ovs/mirrorname"
	"github.com/heddle-net/heddle/ovs/vswitch"
)

// mirrors does on this node what OVN's mirrors lack: filters, and links in the Pods that get copies.
type mirrors struct {
	tables  *tables
	ovs     *vswitch.Client
	manager *port.Manager
	nodes   func() bool // some Pod asks for the mirror of its node
	wake    signal
	synced  <-chan struct{}
	log     logr.Logger
	idle    bool // nothing is wanted, and nothing is there
}

// mirrorAgain is how long after a failure it is tried again.
const mirrorAgain = 10 * time.Second

// Run works until ctx is done. A change of a port may be a Pod that gets copies and has come, and one of a mirror is ovn-controller's.
func (m *mirrors) Run(ctx context.Context) error {
	select {
	case <-m.synced:
	case <-ctx.Done():
		return nil
	}
	changed, done := m.ovs.Subscribe(func(string) bool { return true })
	defer done()
	told := ""
	for {
		var again <-chan time.Time
		err := m.pass(ctx)
		if err != nil && ctx.Err() == nil {
			again = time.After(mirrorAgain)
			if text := err.Error(); text != told {
				m.log.Error(err, "packets are not copied as TrafficMirrors have it")
				told = text
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-m.wake:
		case <-again:
		}
	}
}

func (m *mirrors) pass(ctx context.Context) error {
	objects := m.tables.mirrors.Values()
	if len(objects) == 0 && !m.nodes() && m.idle {
		return nil
	}
	slices.SortFunc(objects, func(a, b *heddle.TrafficMirror) int { return strings.Compare(a.Name, b.Name) })
	w := wantMirrors(objects, m.once())
	err := m.manager.SetTaps(ctx, w.sortedTaps(), w.sortedCollectors(), w.filters)
	m.idle = err == nil && len(objects) == 0 && !m.nodes()
	return err
}

// once is the filter by which a packet that a Pod sends is copied when it comes, and not each time that it comes back from the connection
// tracker. Releases of Open vSwitch without filters do not copy it again.
func (m *mirrors) once() string {
	if m.ovs.FiltersMirrors() {
		return "recirc_id=0"
	}
	return ""
}

// wantedMirrors is what this node is to have.
type wantedMirrors struct {
	taps       map[string]*port.Tap
	collectors map[string]port.Collector
	filters    map[string]string // by the names of OVN's mirrors
	once       string
}

// wantMirrors is what these ask a node for; once is the filter of all that Pods send.
func wantMirrors(objects []*heddle.TrafficMirror, once string) *wantedMirrors {
	w := &wantedMirrors{taps: map[string]*port.Tap{}, collectors: map[string]port.Collector{}, filters: map[string]string{}, once: once}
	w.filter("", false, nil)
	for _, obj := range objects {
		w.add(obj)
	}
	return w
}

// filter is that of OVN's mirrors of a TrafficMirror, or of the node's, for what Pods send and for what they are sent.
func (w *wantedMirrors) filter(name string, far bool, f *heddle.TrafficFilter) {
	match := ""
	if f != nil {
		match = f.Match()
	}
	w.filters[mirrorname.In(name, far)] = match
	w.filters[mirrorname.Out(name, far)] = strings.Trim(w.once+","+match, ",")
}

func (w *wantedMirrors) add(obj *heddle.TrafficMirror) {
	w.filter(obj.Name, false, obj.Spec.Filter)
	to, id := obj.Spec.To, obj.Spec.To.MirrorID()
	switch {
	case to.GRE != nil:
		w.collectors[id] = port.Collector{MirrorID: id, Name: tunnelName(id), Type: "gre", Address: to.GRE.Address, ID: to.GRE.ID}
	case to.ERSPAN != nil:
		w.collectors[id] = port.Collector{MirrorID: id, Name: tunnelName(id), Type: "erspan", Address: to.ERSPAN.Address, ID: to.ERSPAN.ID}
	case to.Pod != nil:
		w.filter(obj.Name, true, obj.Spec.Filter)
		if w.taps[id] == nil {
			w.taps[id] = &port.Tap{Pod: id}
		}
		egress, ingress := obj.TunnelKeys()
		for _, key := range []uint32{egress, ingress} {
			w.taps[id].Tunnels = append(w.taps[id].Tunnels, port.Tunnel{Name: fmt.Sprintf("hm%08x", key), Key: key})
		}
	}
}

// tunnelName is the name of the port to a collector.
func tunnelName(id string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	return fmt.Sprintf("hc%013x", h.Sum64()>>12)
}

func (w *wantedMirrors) sortedTaps() (taps []port.Tap) {
	for _, key := range slices.Sorted(maps.Keys(w.taps)) {
		taps = append(taps, *w.taps[key])
	}
	return taps
}

func (w *wantedMirrors) sortedCollectors() (list []port.Collector) {
	for _, id := range slices.Sorted(maps.Keys(w.collectors)) {
		list = append(list, w.collectors[id])
	}
	return list
}

// nodeMirror tells whether some Pod of this node asks for the mirror of the node.
func (d *daemon) nodeMirror() bool {
	return d.cfg.MirrorAll || slices.ContainsFunc(d.tables.pods.Values(), func(p port.Pod) bool { return p.Mirror })
}

// mirrorLinks are the links of this node that copies come to, by mirror-id.
func (d *daemon) mirrorLinks() (links []host.Mirror) {
	ids := map[string]bool{}
	if d.nodeMirror() {
		ids[mirrorname.Node] = true
	}
	for _, obj := range d.tables.mirrors.Values() {
		name := obj.Spec.To.Interface
		if name != "" && (name == mirrorname.Node || name != d.cfg.MirrorLink) { // a link has one id
			ids[name] = true
		}
	}
	for id := range ids {
		link := host.Mirror{ID: id, Link: id}
		if id == mirrorname.Node {
			link.Link = d.cfg.MirrorLink
		}
		links = append(links, link)
	}
	slices.SortFunc(links, func(a, b host.Mirror) int { return cmp.Compare(a.ID, b.ID) })
	return links
}

// oldMirrorLinks are those that nothing goes to any more.
func (d *daemon) oldMirrorLinks(ctx context.Context, ovs *vswitch.Client, links []host.Mirror) (names []string) {
	old, err := ovs.Interfaces(ctx, func(i *vswitch.Interface) bool {
		return i.ExternalIDs[host.OwnerKey] == host.OwnerHost && i.ExternalIDs[vswitch.KeyMirrorID] != "" &&
			!slices.ContainsFunc(links, func(m host.Mirror) bool { return m.Link == i.Name })
	})
	if err != nil {
		d.log.Info("cannot look for links of mirrors that are gone", "reason", err.Error())
	}
	for _, i := range old {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	return names
}
