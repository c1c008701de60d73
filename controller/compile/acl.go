package compile

import (
	"fmt"
	"maps"
	"strings"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// Tiers in which ACLs are looked at, one after the other until one has decided (ovn-nb(5), ACL tier), Kube-OVN's numbers. A server
// without tiers gets those of one tier alone.
const (
	tierGuard    = 0 // what nobody may forbid
	tierAdmin    = 1
	tierPolicy   = 2
	tierBaseline = 3
)

// Priorities of what isolates Pods, Kube-OVN's numbers.
const (
	priorityDrop   = 2000
	priorityLogged = 2001 // what a policy drops itself, because it wants that logged
	priorityAllow  = 2002 // beats the drops, of whichever policies they are
)

// verdict is what becomes of some traffic to or from the ports of a group. Every kind that filters says what it wants in
// verdicts; how they are written as ACLs is here alone.
type verdict struct {
	tier      int
	priority  int
	direction state.Direction
	subject   string // port group
	// onSwitch says that the subject is everything that passes the switch of that name.
	onSwitch bool
	// again tells rows from others of the same owner, priority and match.
	again string
	// peers and ports are matches, as the functions below make them; traffic must match one of each. None is nothing.
	peers []string
	ports []string
	// action is OVN's (ovn-nb(5), ACL action).
	action string
	// lasts lets connections go on that it once let through.
	lasts bool
	log   *logging
}

// logging has ovn-controller write a line for what matches (ovn-nb(5), ACL log).
type logging struct {
	name  string
	meter *string
}

// severities of messages, by what becomes of the traffic.
var severities = map[string]db.ACLSeverity{db.ACLActionAllowRelated: db.ACLSeverityInfo, db.ACLActionDrop: db.ACLSeverityWarning}

// anyPeer and anyTraffic leave traffic as it is. ARP, and IPv6's neighbour discovery, are no traffic here: OVN lets them through
// whatever ACLs say (ovn-northd(8), "from-lport ACLs").
const (
	anyPeer    = ""
	anyTraffic = "ip"
)

// acls writes the verdicts of one owner; the same row twice is one.
type acls struct {
	who   nb.Owner
	out   *Output
	tiers bool            // the server has them
	seen  map[string]bool // IDs of rows, and of sets of addresses
}

func newACLs(v *state.View, kind, key string, out *Output) *acls {
	return &acls{nb.Owner{Kind: kind, Key: key}, out, v.Server().Tiers, make(map[string]bool)}
}

// add wants one ACL for each peer and kind of port. A peer is one address set: what changes of a set that shares its match with
// anything else, ovn-controller computes anew. The dimensions of one match (ports of the switch, addresses, ports of the
// protocol) become a conjunctive match, as many flows as they have members together (ovs-fields(7)).
func (a *acls) add(v verdict) {
	for _, peer := range v.peers {
		for _, port := range v.ports {
			a.row(v, conjunction(v.subjectMatch(), peer, port))
		}
	}
}

func (a *acls) row(v verdict, match string) {
	id := fmt.Sprintf("%s %s%d %s", a.who, v.again, v.priority, match)
	if a.seen[id] {
		return
	}
	a.seen[id] = true
	parent := nb.Ref{Table: db.PortGroupTable, ID: v.subject}
	model := &db.ACL{Priority: v.priority, Direction: lport[v.direction], Match: match, Action: v.action, Options: stage[v.direction]}
	if v.onSwitch {
		parent.Table, model.Options = db.LogicalSwitchTable, nil
	}
	if v.lasts {
		model.Options = maps.Clone(model.Options)
		model.Options["persist-established"] = "true"
	}
	if v.log != nil {
		severity := severities[v.action]
		model.Log, model.Name, model.Severity, model.Meter = true, &v.log.name, &severity, v.log.meter
	}
	switch {
	case a.tiers:
		model.Tier = v.tier
	case v.tier == tierGuard:
		model.Priority = priorityHighest // there are ACLs of higher priorities than its own in the one tier that there is
	}
	a.out.Row(nb.Row{ID: id, Model: model, In: []nb.Edge{{Parent: parent, Column: "acls"}}})
}

func conjunction(terms ...string) string {
	kept := terms[:0]
	for _, t := range terms {
		if t != anyPeer {
			kept = append(kept, t)
		}
	}
	return strings.Join(kept, " && ")
}

// keepCut has every tier judge the packets of a connection that was cut. OVN would take it up again as soon as the first tier has nothing
// against it and ask no other, so that of a connection that a policy forbids one packet is dropped and no more: ovn-northd's flow for
// that, of priority 1 in the stages of ACLs, knows no tiers (seen with OVN 25.03; the stage behind the load balancer has no such flow).
// These rows come before it, and leave the packet to the next tier. In the last one that flow is right: nobody forbids the connection any
// more.
func (a *acls) keepCut(v verdict) {
	if !a.tiers {
		return
	}
	v.peers, v.ports, v.action = []string{anyPeer}, []string{"ct.est && ct_mark.blocked == 1"}, db.ACLActionPass
	for v.tier = tierGuard; v.tier < tierBaseline; v.tier++ {
		v.again = fmt.Sprintf("%s tier %d ", lport[v.direction], v.tier)
		a.add(v)
	}
}

// lport is a direction as OVN sees it, from its switch.
var lport = [state.Directions]db.ACLDirection{state.Ingress: db.ACLDirectionToLport, state.Egress: db.ACLDirectionFromLport}

// stage has what leaves a Pod judged behind the load balancer: by the endpoint that was chosen, not by the Service's address
// (ovn-nb(5), ACL options:apply-after-lb). What comes back to the same Pod has left the pipeline before ("Hairpin" in
// ovn-northd(8)).
var stage = [state.Directions]map[string]string{state.Egress: {"apply-after-lb": "true"}}

func (v *verdict) subjectMatch() string {
	switch {
	case v.onSwitch:
		return anyPeer
	case v.direction == state.Ingress:
		return "outport == @" + v.subject
	}
	return "inport == @" + v.subject
}

// sides are the field of the other side's address.
var sides = [state.Directions]string{state.Ingress: "src", state.Egress: "dst"}

// inSet matches a peer by an address set of IPv4 or IPv6.
func inSet(d state.Direction, family, set string) string {
	return family + "." + sides[d] + " == $" + set
}
