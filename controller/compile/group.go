package compile

import (
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// group wants the port group and the address sets of the Pods that a selector chooses, those that somebody asks for with
// View.Group, and the ACLs that isolate the Pods if somebody asks for that. The selector is the owner's key, and so is in the rows for people to read.
func group(v *state.View, key string, out *Output) {
	for _, set := range v.Sets(key) {
		row := nb.Row{ID: set.Name, Model: &db.AddressSet{Name: set.Name}, Members: set.Members}
		if set.Kind == state.Ports {
			row.Model = &db.PortGroup{Name: set.Name}
		}
		out.Row(row)
	}
	a, ports := newACLs(v, state.KindGroup, key, out), state.SetName(state.Ports, key)
	if v.Guarded(key) {
		a.add(guard(ports))
		a.keepCut(verdict{direction: state.Ingress, subject: ports})
	}
	for _, tier := range v.Denied(key) {
		a.deny(ports, tier)
	}
	for _, direction := range []state.Direction{state.Ingress, state.Egress} {
		if is, laxly := v.Isolated(key, direction); is {
			a.isolate(verdict{priority: priorityDrop, direction: direction, subject: ports}, laxly)
		}
	}
}

// isolate drops what nobody allows. Laxly it leaves all protocols alone that NetworkPolicy knows nothing of, and DHCP.
func (a *acls) isolate(drop verdict, laxly bool) {
	drop.tier, drop.peers, drop.ports, drop.action = tierPolicy, []string{anyPeer}, []string{anyTraffic}, db.ACLActionDrop
	if laxly {
		drop.ports = []string{"tcp", "udp", "sctp"}
		allow := drop
		allow.priority, allow.ports, allow.action, allow.log = priorityAllow, []string{dhcp[drop.direction]}, db.ACLActionAllowRelated, nil
		a.add(allow)
	}
	a.add(drop)
}

// dhcp are requests, and answers to them, of IPv4 and IPv6 (RFC 2131, RFC 8415).
var dhcp = [state.Directions]string{
	state.Egress:  "((udp.src == 68 && udp.dst == 67) || (udp.src == 546 && udp.dst == 547))",
	state.Ingress: "((udp.src == 67 && udp.dst == 68) || (udp.src == 547 && udp.dst == 546))",
}

// guard lets through what no policy can forbid (NetworkPolicySpec): what a Pod's own node sends to it, as kubelet does for probes, and
// what a Pod sends to itself. The latter is seen when it goes through a Service, by the flag that lets a packet out of the port it
// came from; it never leaves the pipeline that egress is judged in. Beside that the rows make the Pod's switch follow connections,
// so that answers are let through where only new connections are dropped (ovn-nb(5), ACL action allow-related).
func guard(ports string) verdict {
	return verdict{
		tier: tierGuard, priority: priorityAllow, direction: state.Ingress, subject: ports, peers: []string{fromOwnNode4, fromOwnNode6, fromItself},
		ports: []string{anyTraffic}, action: db.ACLActionAllowRelated,
	}
}

// What comes to a Pod is judged on its node, where these variables are the node's join addresses (place.go). A node that has none
// lets nothing in by them.
const (
	fromOwnNode4 = "ip4.src == ^" + nodeVariable4
	fromOwnNode6 = "ip6.src == ^" + nodeVariable6
	fromItself   = "flags.loopback == 1"
)
