package engine

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// Held is what a first pass does not dare to remove.
type Held struct {
	// Removals counts the rows, Total all of ours; 0 when nothing is held.
	Removals, Total int
	// Ports are those among the rows whose addresses nobody else may get.
	Ports []Port
}

// Port is a held switch port of a Pod or a Node.
type Port struct {
	Owner  nb.Owner
	Name   string // also of the IP object that it had
	Subnet string
	MAC    string
	IPs    []netip.Addr
}

// A first pass may remove up to 100 rows, or a fifth of ours.
const (
	minHeld   = 100
	heldShare = 5
)

// hold keeps removals back until Release if there are more than can be believed (an empty cache must not empty the network),
// and returns the owners whose removal may go on.
func (s *session) hold(remove []nb.Owner, removals int) []nb.Owner {
	held := Held{Total: s.conn.Size()}
	if removals <= max(minHeld, held.Total/heldShare) {
		s.cfg.Sink.Held(held)
		return remove
	}
	held.Removals, held.Ports = removals, s.ports(remove)
	s.cfg.Log.Info("Too many removals to be believed; they are held back", "removals", removals, "rows", held.Total)
	for _, o := range remove {
		s.held[o] = true
	}
	refuted := s.cfg.Sink.Held(held)
	for _, o := range refuted {
		delete(s.held, o)
	}
	return refuted
}

// ports reads what the ports of Pods and Nodes look like in the database.
func (s *session) ports(owners []nb.Owner) []Port {
	var ports []Port
	for _, o := range owners {
		if o.Kind != state.KindPod && o.Kind != state.KindNode {
			continue
		}
		for _, f := range s.conn.Owned(o) {
			if m, ok := s.conn.Row(f).(*db.LogicalSwitchPort); ok {
				ports = append(ports, portOf(f, m))
			}
		}
	}
	return ports
}

func portOf(f nb.Found, m *db.LogicalSwitchPort) Port {
	p := Port{Owner: f.Owner, Name: m.Name, Subnet: f.Parent().ID}
	for _, entry := range m.Addresses {
		for _, word := range strings.Fields(entry) {
			if addr, err := netip.ParseAddr(word); err == nil {
				p.IPs = append(p.IPs, addr)
			} else {
				p.MAC = word
			}
		}
	}
	return p
}

// stillHeld tells whether the owner wants nothing and its removal is held back. One that wants rows again is held no more, unless it
// is a group: it keeps what it had beside them (gather), such as the rules that isolate its Pods for a policy that is held.
func (s *session) stillHeld(w nb.Want) bool {
	if !s.held[w.Owner] {
		return false
	}
	delete(s.drifted, w.Owner)
	delete(s.audited, w.Owner)
	if len(w.Rows) > 0 && w.Owner.Kind != state.KindGroup {
		delete(s.held, w.Owner)
	}
	return len(w.Rows) == 0
}

// letGo applies the removals that are held back.
func (s *session) letGo() {
	s.cfg.Store.MarkBulk(append(s.cfg.Store.Groups(), slices.SortedFunc(maps.Keys(s.held), nb.Owner.Compare)...)...)
	clear(s.held)
	s.cfg.Sink.Held(Held{Total: s.conn.Size()})
}
