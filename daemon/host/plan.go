package host

import (
	"fmt"
	"maps"
	"slices"
)

// Plan is what is missing. Lanes are independent: each is applied in order up to its first failure.
type Plan struct {
	Lanes    [][]Op
	Problems []string // what stands in the way for good
	Waiting  []string // what has to come first, and will tell by an event
}

// Empty reports whether nothing is to do.
func (p Plan) Empty() bool { return len(p.Lanes) == 0 }

// Operations are the texts of all operations in order.
func (p Plan) Operations() []string {
	var out []string
	for _, lane := range p.Lanes {
		for _, op := range lane {
			out = append(out, op.String())
		}
	}
	return out
}

// MakePlan compares what a node has with what it should have. It is pure; the list of operations is empty exactly when
// nothing that we manage differs or waits.
func MakePlan(have Observed, want Desired) Plan {
	var p Plan
	for _, s := range want.Segments {
		l := lane{have: have, want: s}
		l.run()
		if len(l.ops) > 0 {
			p.Lanes = append(p.Lanes, l.ops)
		}
		p.Problems = append(p.Problems, l.problems...)
		p.Waiting = append(p.Waiting, l.waiting...)
	}
	return p
}

// lane plans one segment.
type lane struct {
	have     Observed
	want     Segment
	replaced []Route // that a wanted route takes the place of
	ops      []Op
	problems []string
	waiting  []string
}

func (l *lane) add(op Op) { l.ops = append(l.ops, op) }

func (l *lane) run() {
	l.dropTables()
	if l.have.OVS == nil {
		l.bridges()
		l.ports()
	}
	if l.mustWait() {
		return
	}
	l.sysctls()
	l.links()
	l.addAddrs()
	l.addRoutes()
	l.dropRoutes()
	l.dropAddrs()
	l.dropPorts()
	l.tables()
}

func (l *lane) bridges() {
	for _, want := range l.want.Bridges {
		have, ok := l.have.Bridges[want.Name]
		if !ok || have.Datapath != want.Datapath || have.FailMode != want.FailMode || differs(want.HWAddr, have.HWAddr) ||
			!subset(want.ExternalIDs, have.ExternalIDs) {
			l.add(ensureBridge{want})
		}
	}
}

func (l *lane) ports() {
	for _, want := range l.want.Ports {
		have, ok := l.have.Ports[want.Name]
		if _, bridge := l.have.Bridges[want.Bridge]; !ok && !bridge && l.bridgeBrings(want.Name) {
			continue
		}
		if !ok || have.Bridge != want.Bridge || have.Type != want.Type || differs(want.MAC, have.MAC) ||
			want.MTU != 0 && have.MTU != want.MTU || !subset(want.ExternalIDs, have.ExternalIDs) {
			l.add(ensurePort{want})
		}
	}
}

func (l *lane) bridgeBrings(port string) bool {
	return slices.ContainsFunc(l.want.Bridges, func(b Bridge) bool { return b.Uplink == port })
}

// mustWait reports that the kernel does not have the links yet, or that the NIC would be cut off: an event tells when.
func (l *lane) mustWait() bool {
	for _, want := range l.want.Links {
		if _, ok := l.have.Links[want.Name]; !ok {
			l.waiting = append(l.waiting, "link "+want.Name+" is not there")
		}
	}
	if port := l.want.Attached; port != "" && l.have.Ports[port].OFPort <= 0 && l.hasAddrs(port) {
		l.waiting = append(l.waiting, "ovs-vswitchd has not opened "+port)
	}
	return len(l.waiting) > 0
}

func (l *lane) hasAddrs(link string) bool {
	return slices.ContainsFunc(l.have.Addrs, func(a Addr) bool { return a.Link == link })
}

// sysctls skips what the kernel does not have, such as IPv6 where it is disabled at boot.
func (l *lane) sysctls() {
	for _, want := range l.want.Sysctls {
		have, ok := l.have.Sysctls[want.Key]
		if ok && have != want.Value && (want.OnlyIf == "" || have == want.OnlyIf && l.have.Sysctls[want.Until] != "1") {
			l.add(setSysctl{want.Key, want.Value})
		}
	}
}

func (l *lane) links() {
	for _, want := range l.want.Links {
		have := l.have.Links[want.Name]
		if differs(want.MAC, have.MAC) {
			l.add(setMAC{want.Name, want.MAC})
		}
		if want.MTU != 0 && have.MTU != want.MTU {
			l.add(setMTU{want.Name, want.MTU})
		}
		if differs(want.TxCsum, have.TxCsum) {
			l.add(setOffload{want.Name, offloadTxCsum, want.TxCsum})
		}
		if differs(want.GRO, have.GRO) {
			l.add(setOffload{want.Name, offloadGRO, want.GRO})
		}
		if want.Up && !have.Up {
			l.add(setUp{want.Name})
		}
	}
}

func (l *lane) addAddrs() {
	for _, want := range l.want.Addrs {
		if !slices.ContainsFunc(l.have.Addrs, func(a Addr) bool { return a.Link == want.Link && a.Prefix == want.Prefix }) {
			l.add(addAddr{want})
		}
	}
}

// addRoutes adds and changes routes. A route of the same destination that is neither ours nor on the link that hands over
// stays, and is a problem.
func (l *lane) addRoutes() {
	for _, want := range l.want.Routes {
		have := l.holders(want.key())
		switch i := slices.IndexFunc(have, func(r Route) bool { return l.ours(r, want) }); {
		case len(have) == 0:
			l.add(addRoute{want})
		case slices.Contains(have, want):
		case i == 0:
			l.replaced = append(l.replaced, have[0])
			l.add(replaceRoute{want})
		default:
			l.problems = append(l.problems, fmt.Sprintf("route %s: another one is not ours and stays", want.Dst))
		}
	}
}

// holders are the routes of a destination, in the kernel's order: NLM_F_REPLACE changes the first.
func (l *lane) holders(k routeKey) []Route {
	var out []Route
	for _, r := range l.have.Routes {
		if r.key() == k {
			out = append(out, r)
		}
	}
	return out
}

func (l *lane) ours(r, want Route) bool {
	return r.Protocol == RouteProtocol || r.Link == l.want.Bare && l.want.Bare != "" || r.Link == want.Link && want.Link == LinkUplink
}

// dropRoutes removes our routes that nobody wants, and what is left on a link that handed over.
func (l *lane) dropRoutes() {
	for _, r := range l.have.Routes {
		bare := l.want.Bare != "" && r.Link == l.want.Bare
		stale := r.Protocol == RouteProtocol && l.want.Name == segmentOverlay
		if (bare || stale) && !slices.Contains(l.want.Routes, r) && !slices.Contains(l.replaced, r) {
			l.add(delRoute{r})
		}
	}
}

func (l *lane) dropAddrs() {
	own := l.want.Bare
	for _, a := range l.have.Addrs {
		mine := own != "" && a.Link == own ||
			slices.ContainsFunc(l.want.Links, func(k Link) bool { return k.OwnAddrs && k.Name == a.Link })
		wanted := slices.ContainsFunc(l.want.Addrs, func(w Addr) bool { return w.Link == a.Link && w.Prefix == a.Prefix })
		if mine && !wanted {
			l.add(delAddr{a})
		}
	}
}

func (l *lane) dropPorts() {
	for _, name := range l.want.NoPorts {
		if have, ok := l.have.Ports[name]; ok && have.ExternalIDs[OwnerKey] == OwnerHost {
			l.add(deletePort{name})
		}
	}
	for _, name := range l.want.NoBridges {
		if have, ok := l.have.Bridges[name]; ok && have.ExternalIDs[OwnerKey] == OwnerHost {
			l.add(deleteBridge{name})
		}
	}
}

// differs reports that a managed text (not empty) is not as it should be.
func differs(want, have string) bool { return want != "" && want != have }

func subset(want, have map[string]string) bool {
	for k, v := range maps.All(want) {
		if have[k] != v {
			return false
		}
	}
	return true
}
