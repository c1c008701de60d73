package host

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Flow is a UDP connection of the kernel's conntrack: who talks to a frontend, and whose answers come back.
type Flow struct {
	Client   string // address and port
	Frontend string
	Target   string
}

func (f Flow) String() string { return f.Client + " to " + f.Frontend + " at " + f.Target }

// own reports that the frontend itself answers: nothing translated the flow.
func (f Flow) own() bool {
	addr, rest, _ := strings.Cut(f.Frontend, fieldSeparator)
	_, port, _ := strings.Cut(rest, fieldSeparator)
	return f.Target == addr+fieldSeparator+port
}

// targets are, by frontend, where packets may be translated to. A frontend that is not in it is nobody's.
type targets map[string]map[string]bool

func targetsOf(t Table) targets {
	out := targets{}
	for _, s := range t.Sets {
		if s.Dynamic {
			continue
		}
		for _, e := range s.Elements {
			frontend, ok := frontendOf(e)
			if !ok {
				continue
			}
			if out[frontend] == nil {
				out[frontend] = map[string]bool{}
			}
			if _, to, ok := strings.Cut(e, " : "); ok && s.Data != dataVerdict {
				out[frontend][to] = true
			}
		}
	}
	return out
}

// frontendOf is the frontend of a Service that an element is about.
func frontendOf(element string) (string, bool) {
	key, _, _ := strings.Cut(element, " : ")
	fields := strings.Split(key, fieldSeparator)
	if len(fields) < 3 {
		return "", false
	}
	return strings.Join(fields[:3], fieldSeparator), true
}

// wrong lists elements of a set of clients whose endpoint is none any more.
func (t targets) wrong(set string, elements []string) []element {
	var out []element
	for _, e := range elements {
		_, frontend, _ := strings.Cut(e, fieldSeparator) // after the client
		frontend, to, _ := strings.Cut(frontend, " : ")
		if !t[frontend][to] {
			out = append(out, element{set, e})
		}
	}
	return out
}

// flows says which frontends changed since their UDP flows were last looked at. A datagram of a flow that conntrack knows goes
// where the first one went, whatever the maps say by now; TCP connections end by themselves, and those to an endpoint that
// is about to end are to live on.
type flows struct {
	looked  bool            // at all, once
	stale   map[string]bool // frontends to look at
	looking map[string]bool // in this pass
	failed  bool            // conntrack could not be read: that is no reason for another pass at once
}

// changed notes an edit that is done.
func (f *flows) changed(o editTable) {
	for _, e := range slices.Concat(o.Del, o.Add) {
		f.note(e.Text)
	}
}

func (f *flows) note(element string) {
	if frontend, ok := frontendOf(element); ok && strings.Contains(frontend, " udp ") {
		if f.stale == nil {
			f.stale = map[string]bool{}
		}
		f.stale[frontend] = true
	}
}

// end is the end of a pass; what was not done is for the next.
func (f *flows) end(err error) (again bool) {
	if err != nil {
		if f.stale == nil {
			f.stale = map[string]bool{}
		}
		maps.Copy(f.stale, f.looking)
	}
	f.looking = nil
	return len(f.stale) > 0 && !f.failed
}

// observeFlows reads the flows to frontends that have changed; a fresh process looks at all.
func (k *kernel) observeFlows(want Desired, have *Observed) {
	f := &k.flows
	for _, s := range want.Segments {
		for _, t := range s.Tables {
			f.first(t)
		}
	}
	if len(f.stale) == 0 {
		return
	}
	have.Flows, have.NoFlows = k.readFlows(f.stale)
	if f.failed = have.NoFlows != nil; !f.failed {
		f.looking, f.stale = f.stale, nil
	}
}

func (f *flows) first(t Table) {
	if f.looked || t.Family != "inet" {
		return
	}
	f.looked = true
	for frontend := range targetsOf(t) {
		f.note(frontend)
	}
}

func (k *kernel) readFlows(frontends map[string]bool) ([]Flow, error) {
	var out []Flow
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		list, err := k.nl.ConntrackTableList(netlink.ConntrackTable, family)
		if err != nil {
			return nil, fmt.Errorf("conntrack: %w", err)
		}
		for _, c := range list {
			if f, ok := flowOf(c); ok && frontends[f.Frontend] {
				out = append(out, f)
			}
		}
	}
	return out, nil
}

// flowOf leaves out other zones, which are those of OVN with the kernel's datapath.
func flowOf(c *netlink.ConntrackFlow) (Flow, bool) {
	client, frontend, answer := addrFrom(c.Forward.SrcIP), addrFrom(c.Forward.DstIP), addrFrom(c.Reverse.SrcIP)
	return Flow{
		Client:   fmt.Sprint(client, fieldSeparator, c.Forward.SrcPort),
		Frontend: fmt.Sprint(frontend, fieldSeparator, "udp", fieldSeparator, c.Forward.DstPort),
		Target:   fmt.Sprint(answer, fieldSeparator, c.Reverse.SrcPort),
	}, c.Forward.Protocol == unix.IPPROTO_UDP && c.Zone == 0
}

// cutFlow removes flows that lead where nobody is any more.
type cutFlow struct{ Flows []Flow }

func (o cutFlow) String() string { return fmt.Sprintf("conntrack delete udp %v", o.Flows) }

// cutFlows plans it. A frontend that no Service has any more may be a socket's of the node.
func (l *lane) cutFlows(want Table) {
	if l.have.NoFlows != nil {
		l.problems = append(l.problems, "UDP flows to endpoints that are gone are not cut: "+l.have.NoFlows.Error())
	}
	if want.Family != "inet" || len(l.have.Flows) == 0 {
		return
	}
	valid := targetsOf(want)
	var cut cutFlow
	for _, f := range l.have.Flows {
		to, used := valid[f.Frontend]
		if !to[f.Target] && (used || !f.own()) {
			cut.Flows = append(cut.Flows, f)
		}
	}
	if len(cut.Flows) > 0 {
		l.add(cut)
	}
}

func (o cutFlow) apply(_ context.Context, k *kernel) error {
	filter := make(flowFilter, len(o.Flows))
	for _, f := range o.Flows {
		filter[f] = true
	}
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		if _, err := k.nl.ConntrackDeleteFilters(netlink.ConntrackTable, family, filter); err != nil {
			return err
		}
	}
	return nil
}

type flowFilter map[Flow]bool

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (m flowFilter) MatchConntrackFlow(c *netlink.ConntrackFlow) bool {
	f, ok := flowOf(c)
	return ok && m[f]
}
