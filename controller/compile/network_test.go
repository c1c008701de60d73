package compile_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// network is what OVN makes of a cluster, without a datapath: compile, plan, commit, ovn-northd, ovn-trace.
//
// What ovn-trace cannot show, and the sandbox must: that a node's ovn-controller installs these flows, tunnels and their
// MTU, ARP and neighbour answers that pinctrl gives at run time, learned MAC bindings, and what the node itself does with a
// packet that leaves by its port (routes, masquerade). Where ports are it knows by ovstest.Tracer alone.
type network struct {
	t    testing.TB
	ovn  *ovstest.Northd
	conn *nb.Conn

	world  world
	tracer *ovstest.Tracer
	macs   map[netip.Addr]string // of gateways, as OVN answers
}

const maxNodes = 3

var localDNS = []netip.Addr{netip.MustParseAddr("169.254.20.10"), netip.MustParseAddr("fd00:10:254::10")}

func newNetwork(t testing.TB) *network {
	t.Helper()
	n := &network{t: t, ovn: ovstest.StartNorthd(t)}
	for i := range maxNodes {
		n.ovn.AddChassis(chassis(i), fmt.Sprintf("192.0.2.%d", i+1))
	}
	n.conn = dialNB(t, n.ovn.NB.Endpoint)
	return n
}

func dialNB(t testing.TB, endpoint string) *nb.Conn {
	t.Helper()
	conn, err := nb.Dial(t.Context(), nb.Config{Endpoints: []string{endpoint}, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if err := conn.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	return conn
}

func chassis(node int) string { return fmt.Sprintf("chassis-%d", node) }

// become makes the network that of another cluster, whatever it was before.
func (n *network) become(w world) {
	n.t.Helper()
	n.commit(w)
	n.ovn.Sync()
	n.look(w)
}

// look takes what is in NB for that cluster.
func (n *network) look(w world) {
	n.t.Helper()
	ports := make(map[string][]string)
	for i, node := range w.nodes {
		if node.addressed {
			ports[chassis(i)] = []string{node.port()}
		}
	}
	for _, p := range w.pods {
		if !w.subnets[p.subnet].invalid {
			ports[chassis(p.node)] = append(ports[chassis(p.node)], p.port())
		}
	}
	n.lookAt(w, ports)
}

// lookAt does so with these ports on the nodes.
func (n *network) lookAt(w world, ports map[string][]string) {
	n.t.Helper()
	n.ovn.BindAll(ports)
	n.ovn.Sync()
	if n.tracer != nil {
		n.tracer.Close()
	}
	n.world, n.tracer, n.macs = w, n.ovn.Tracer(), make(map[netip.Addr]string)
}

// commit gives NB the rows of this cluster and no others.
func (n *network) commit(w world) {
	n.t.Helper()
	owners, outputs := compileAll(n.filled(w))
	for _, owner := range n.conn.Owners() {
		if _, ok := outputs[owner]; !ok {
			owners, outputs[owner] = append(owners, owner), compile.Output{}
		}
	}
	n.apply(owners, outputs)
}

// filled is a store with what there is in a cluster, for the server that there is.
func (n *network) filled(w world) *state.Store {
	s := state.New(networkConfig)
	s.SetServer(state.Server{Templates: n.conn.Has(db.ChassisTemplateVarTable), Tiers: n.conn.Has(db.ACLTable, "tier"), Mirrors: n.conn.Has(db.ACLTable, "tier")})
	for _, put := range w.objects() {
		put(s)
	}
	return s
}

var networkConfig = state.Config{DefaultVpc: "ovn-cluster", JoinSubnet: "join", NodeLocalDNS: localDNS}

// apply gives NB what these owners want.
func (n *network) apply(owners []nb.Owner, outputs map[nb.Owner]compile.Output) {
	n.t.Helper()
	for pending := owners; len(pending) > 0; {
		wants := make([]nb.Want, len(pending))
		for i, owner := range pending {
			wants[i] = nb.Want{Owner: owner, Rows: knownToAll(outputs[owner].Rows)}
		}
		n.conn.Sync()
		txn := nb.Plan(n.conn, wants)
		if err := n.conn.Commit(n.t.Context(), txn); err != nil {
			n.t.Fatalf("%v\n%s", err, txn)
		}
		pending = nil
		for _, blocked := range txn.Blocked {
			switch {
			case !txn.Empty(): // what waited for others may go on now
				pending = append(pending, blocked.Owner)
			case blocked.Reason != nb.ReasonMissingParent: // whose Subnet is not in force waits for ever
				n.t.Fatalf("%s: %s", blocked.Owner, blocked.Text())
			}
		}
	}
}

// knownToAll leaves out what OVN before 25.03 refuses, and this machine's may be older: the choice by IPv6 address.
func knownToAll(rows []nb.Row) []nb.Row {
	for _, row := range rows {
		if lb, ok := row.Model.(*db.LoadBalancer); ok {
			lb.SelectionFields = slices.DeleteFunc(slices.Clone(lb.SelectionFields), func(f db.LoadBalancerSelectionFields) bool {
				return f == db.LoadBalancerSelectionFieldsIpv6Src
			})
		}
	}
	return rows
}

// ask traces a packet of a host, on its node: that is where OVN's logical router runs.
func (n *network) ask(h host, packet string) ovstest.Trace {
	n.t.Helper()
	return n.tracer.Ask(chassis(h.node), fmt.Sprintf("inport == %q && eth.src == %s && %s", h.port, h.mac, packet))
}

// host is who can send: a Pod, or a node by its join port.
type host struct {
	port, mac string
	node      int
	subnet    subnet
	addrs     []netip.Addr
}

// addr is the host's address of the family of another one.
func (h host) addr(like netip.Addr) (netip.Addr, bool) {
	for _, a := range h.addrs {
		if a.Is4() == like.Is4() {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// send traces a packet as the host would send it: to the neighbour's MAC when the destination is in its own Subnet, else to
// the gateway's. neighbour "" is a MAC that nobody has.
func (n *network) send(h host, dst netip.Addr, neighbour string) ovstest.Trace {
	n.t.Helper()
	return n.sendBy("udp", h, dst, neighbour)
}

// sendBy does so with another protocol.
func (n *network) sendBy(protocol string, h host, dst netip.Addr, neighbour string) ovstest.Trace {
	n.t.Helper()
	return n.sendTo(h, dst, neighbour, protocol, 53)
}

// sendTo does so to another port as well.
func (n *network) sendTo(h host, dst netip.Addr, neighbour, protocol string, port int) ovstest.Trace {
	n.t.Helper()
	src, ok := h.addr(dst)
	if !ok {
		n.t.Fatalf("%s has no address of the family of %s", h.port, dst)
	}
	return n.sendFrom(h, src, dst, neighbour, fmt.Sprintf("%s.dst == %d", protocol, port))
}

// sendFrom traces a packet from an address that the host has or forwards for, with the protocol in words of OVN.
func (n *network) sendFrom(h host, src, dst netip.Addr, neighbour, protocol string) ovstest.Trace {
	n.t.Helper()
	mac := neighbour
	if gateway, outside := h.subnet.gatewayTo(dst); outside {
		mac = n.gatewayMAC(h, gateway)
	}
	if mac == "" {
		mac = "0a:58:ff:ff:ff:ff"
	}
	return n.ask(h, fmt.Sprintf(`eth.dst == %s && ip.ttl == 64 && %s.src == %s && %[2]s.dst == %[4]s && %s`, mac, family(dst), src, dst, protocol))
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "ip4"
	}
	return "ip6"
}

// gatewayMAC asks OVN as an IPv4 host would. ovn-trace 23.03 aborts on the answer to a neighbour solicitation (nd_na_router),
// so that IPv6 takes what ovn-northd has made of the router's port.
func (n *network) gatewayMAC(h host, gateway netip.Addr) string {
	n.t.Helper()
	if mac, ok := n.macs[gateway]; ok {
		return mac
	}
	if gateway.Is4() {
		n.macs[gateway] = n.whoHas(h, gateway)
	} else {
		port := n.ovn.Sbctl("--bare", "--columns=mac", "find", "Port_Binding", "logical_port=ovn-cluster-"+h.subnet.name)
		n.macs[gateway], _, _ = strings.Cut(port, " ")
	}
	if n.macs[gateway] == "" {
		n.t.Fatalf("%s: nobody answers for the gateway %s", h.port, gateway)
	}
	return n.macs[gateway]
}

var answeredMAC = regexp.MustCompile(`(?m)^arp\.sha = ([0-9a-f:]{17});$`)

// whoHas is the MAC in the answer to an ARP request, "" when nobody answers.
func (n *network) whoHas(h host, target netip.Addr) string {
	n.t.Helper()
	src, _ := h.addr(target)
	trace := n.ask(h, fmt.Sprintf(`eth.dst == ff:ff:ff:ff:ff:ff && arp.op == 1 && arp.sha == %s && arp.spa == %s && arp.tpa == %s`, h.mac, src, target))
	found := answeredMAC.FindStringSubmatch(trace.Text)
	if found == nil || !slices.Equal(trace.Out, []string{h.port}) {
		return ""
	}
	return found[1]
}
