package state

import (
	"net/netip"
	"reflect"

	"github.com/heddle-net/heddle/ovs/mirrorname"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// Mirror says which Pods' packets are copied, and where to: a TrafficMirror, or the mirror of the nodes.
type Mirror struct {
	Name            string // of the TrafficMirror; empty for that of the nodes
	Invalid         string // what cannot be read of it: nothing is copied then
	Selector        Selector
	Egress, Ingress bool   // what the Pods send, what they are sent
	Sink            string // by what a node finds the port that copies go to (ovn-controller(8), external_ids:mirror-id of an Interface)
	Pod             string // key of the Pod that it goes to, empty for anything else
	// EgressKey and IngressKey are those of GRE, for copies that go to a Pod from other nodes.
	EgressKey, IngressKey uint32
}

func (m *Mirror) equal(o *Mirror) bool { return reflect.DeepEqual(m, o) }

// NodeMirrorKey is the key of the mirror that Pods ask for by annotation, which no TrafficMirror can have.
const NodeMirrorKey = "node/" + mirrorname.Node

// MirrorLabel is one that no object can have; Pods have it that ask for the mirror of their node.
const MirrorLabel = "mirror//"

// nodeMirror copies the packets of the Pods that ask for it, or of all Pods, to a link of their node.
func nodeMirror(all bool) *Mirror {
	m := &Mirror{Egress: true, Ingress: true, Sink: mirrorname.Node}
	if !all {
		m.Selector.Pods = []Requirement{{Key: MirrorLabel, Operator: Exists}}
	}
	return m
}

// MirrorRow is one of OVN's mirrors. Each has one direction, because Open vSwitch copies what a Pod sends several times
// (docs/decisions/0017-mirrors.md): the daemon finds those by their names, and sees to it.
type MirrorRow struct {
	Name   string
	Filter string // from-lport is what the Pod sends, to-lport what it is sent (ovn-nb(5), Mirror)
	Key    uint32 // of GRE, of those that are far
}

// Rows are those of a mirror. What goes to a Pod has others for Pods on other nodes, which are far.
func (m *Mirror) Rows(far bool) (rows []MirrorRow) {
	if m.Egress {
		rows = append(rows, MirrorRow{mirrorname.Out(m.Name, far), db.MirrorFilterFromLport, m.EgressKey})
	}
	if m.Ingress {
		rows = append(rows, MirrorRow{mirrorname.In(m.Name, far), db.MirrorFilterToLport, m.IngressKey})
	}
	return rows
}

// mirroredIndex is the value of a Pod in its index.
func mirroredIndex(p *Pod) string {
	if _, ok := p.Labels.Get(MirrorLabel); ok {
		return MirrorLabel
	}
	return ""
}

// Mirror returns the Mirror of that name, nil when there is none.
func (v *View) Mirror(name string) *Mirror { return v.store.Mirrors.get(v, name) }

// MirrorsPods tells whether a Pod asks for the mirror of its node.
func (v *View) MirrorsPods() bool { return len(v.store.Pods.by(v, 1, MirrorLabel)) > 0 }

// MirrorsOf lists the mirrors that choose a Pod, in order of their keys.
func (v *View) MirrorsOf(pod *Pod) (chosen []*Mirror) {
	for _, m := range v.store.Mirrors.by(v, 0, "") {
		var namespace *Namespace
		if len(m.Selector.Namespaces) > 0 {
			namespace = v.store.Namespaces.get(v, pod.Namespace)
		}
		if m.Invalid == "" && m.Selector.matches(pod, namespace) && m.Pod != pod.Key() {
			chosen = append(chosen, m)
		}
	}
	return chosen
}

// InternalIP is the first of a node's own addresses, the zero Addr when it has none.
func (v *View) InternalIP(node string) netip.Addr {
	if n := v.store.Nodes.get(v, node); n != nil && len(n.InternalIPs) > 0 {
		return n.InternalIPs[0]
	}
	return netip.Addr{}
}
