package verdict

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Probe is how ends talk to each other.
type Probe struct {
	Family   corev1.IPFamily
	Protocol corev1.Protocol
	Port     int32
}

// Table says of each of these ends whom it reaches, and how.
type Table struct {
	from, to []Peer
	probes   []Probe
	allowed  map[Packet]bool // what is not known is missing
}

// NewTable makes a table of which nothing is known yet.
func NewTable(from, to []Peer, probes []Probe) *Table {
	return &Table{slices.Clone(from), slices.Clone(to), slices.Clone(probes), make(map[Packet]bool)}
}

// Table is what should be.
func (c *Cluster) Table(from, to []Peer, probes []Probe) *Table {
	t := NewTable(from, to, probes)
	for _, p := range t.Packets() {
		allowed, _ := c.Allowed(p)
		t.Set(p, allowed)
	}
	return t
}

// Peers are all Pods and nodes of the cluster, in order of their names; with them and Outside a Table is complete.
func (c *Cluster) Peers() []Peer {
	var peers []Peer
	for _, pod := range c.Pods {
		if inNetwork(pod) {
			peers = append(peers, Peer{Pod: pod.Namespace + "/" + pod.Name})
		}
	}
	for _, node := range c.Nodes {
		peers = append(peers, Peer{Node: node.Name})
	}
	slices.SortFunc(peers, func(a, b Peer) int { return strings.Compare(a.String(), b.String()) })
	return peers
}

// Packets are all that the table asks for, in the order in which it is printed.
func (t *Table) Packets() []Packet {
	var packets []Packet
	for _, probe := range t.probes {
		for _, from := range t.from {
			for _, to := range t.to {
				packets = append(packets, probe.packet(from, to))
			}
		}
	}
	return packets
}

func (p Probe) packet(from, to Peer) Packet {
	return Packet{From: from, To: to, Family: p.Family, Protocol: p.Protocol, Port: p.Port}
}

// Set notes what became of a packet.
func (t *Table) Set(p Packet, allowed bool) { t.allowed[p] = allowed }

// mark is one character for a verdict.
func (t *Table) mark(p Packet) string {
	allowed, known := t.allowed[p]
	switch {
	case !known:
		return "?"
	case allowed:
		return "+"
	}
	return "·"
}

// String prints a square for each probe: a line for each sender, and in it + for each receiver that it reaches, · for one that
// it does not reach, ? for what is not known. Receivers are numbered.
func (t *Table) String() string {
	width := len("IPv4 SCTP/65535")
	for _, p := range t.from {
		width = max(width, len(p.String()))
	}
	var b strings.Builder
	for i, to := range t.to {
		fmt.Fprintf(&b, "%2d = %s\n", i+1, to)
	}
	for _, probe := range t.probes {
		fmt.Fprintf(&b, "\n%-*s", width, fmt.Sprintf("%s %s", probe.Family, probe.packet(Peer{}, Peer{}).probe()))
		for i := range t.to {
			fmt.Fprintf(&b, " %2d", i+1)
		}
		b.WriteString("\n")
		for _, from := range t.from {
			fmt.Fprintf(&b, "%-*s", width, from)
			for _, to := range t.to {
				b.WriteString("  " + t.mark(probe.packet(from, to)))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// Diff lists the packets that another table of the same ends and probes knows otherwise, a line each; "" when there are none.
// What one of the two does not know is no difference.
func (t *Table) Diff(other *Table) string {
	var b strings.Builder
	word := map[bool]string{true: "allowed", false: "denied"}
	for _, p := range t.Packets() {
		mine, known := t.allowed[p]
		theirs, both := other.allowed[p]
		if known && both && mine != theirs {
			fmt.Fprintf(&b, "%s: %s, not %s\n", p, word[mine], word[theirs])
		}
	}
	return b.String()
}
