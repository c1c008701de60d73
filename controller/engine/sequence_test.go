package engine

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// event changes one object; key says which, so that later events of the same object can replace it.
type event struct {
	key   string
	apply func(*state.Store)
}

var testConfig = state.Config{
	DefaultVpc: "ovn-cluster", DefaultSubnet: "ovn-default", JoinSubnet: "join",
	ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")},
}

func putVpc(name string) event {
	return event{"vpc/" + name, func(s *state.Store) { s.Vpcs.Put(name, &state.Vpc{Name: name}) }}
}

func putSubnet(name, cidr string, age int) event {
	p := netip.MustParsePrefix(cidr)
	return event{"subnet/" + name, func(s *state.Store) {
		s.Subnets.Put(name, &state.Subnet{
			Name: name, Vpc: "ovn-cluster", Provider: "ovn", CIDRs: []netip.Prefix{p}, Gateways: []netip.Addr{p.Addr().Next()},
			Created: time.Unix(int64(age), 0),
		})
	}}
}

func putNode(i, ip int) event {
	name := fmt.Sprintf("n%d", i)
	return event{"node/" + name, func(s *state.Store) {
		s.Nodes.Put(name, &state.Node{Name: name, InternalIPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(ip)})}})
	}}
}

func putPod(i, uid int) event {
	pod := &state.Pod{Namespace: "default", Name: fmt.Sprintf("p%d", i), UID: fmt.Sprintf("uid-%d", uid), Node: "n1"}
	return event{"pod/" + pod.Key(), func(s *state.Store) { s.Pods.Put(pod.Key(), pod) }}
}

// putIP gives an address of a Subnet, or of join, to a Pod or a Node.
func putIP(port, subnet string, net, host int) event {
	ip := &state.IP{
		Name: port, Subnet: subnet, MAC: "0a:58:0a:01:00:01", IPs: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(net), 0, byte(host)})},
	}
	return event{"ip/" + port, func(s *state.Store) { s.IPs.Put(port, ip) }}
}

func remove(e event) event {
	kind, key := cutKind(e.key)
	return event{e.key, func(s *state.Store) {
		switch kind {
		case state.KindVpc:
			s.Vpcs.Delete(key)
		case state.KindSubnet:
			s.Subnets.Delete(key)
		case state.KindNode:
			s.Nodes.Delete(key)
		case state.KindPod:
			s.Pods.Delete(key)
		case state.KindPolicy:
			s.Policies.Delete(key)
		case "namespace":
			s.Namespaces.Delete(key)
		case "ip":
			s.IPs.Delete(key)
		case state.KindPlace:
			s.Places.Delete(key)
		case state.KindService:
			s.Services.Delete(key)
		case "slice":
			s.EndpointSlices.Delete(key)
		case state.KindSwitchLBRule:
			s.SwitchLBRules.Delete(key)
		case "ruleservice":
			s.RuleServices.Delete(key)
		case state.KindSecurityGroup:
			s.SecurityGroups.Delete(key)
		}
	}}
}

func cutKind(key string) (kind, rest string) {
	o, _ := nb.ParseOwner(key)
	return o.Kind, o.Key
}

// randomEvents is a life of a small cluster: things come, change, move and go, in any order, parents after children too.
func randomEvents(r *rand.Rand) []event {
	events := []event{putVpc("ovn-cluster"), putSubnet("join", "100.64.0.0/16", 0)}
	for range 40 {
		var e event
		switch r.IntN(15) {
		case 0:
			e = putVpc("ovn-cluster")
		case 1:
			e = putSubnet("join", "100.64.0.0/16", 0)
		case 2, 3: // s0 and s3 overlap, the younger one must wait
			i := r.IntN(4)
			e = putSubnet(fmt.Sprintf("s%d", i), fmt.Sprintf("10.%d.0.0/16", i%3), 1+r.IntN(3))
		case 4, 5:
			e = putNode(r.IntN(3), r.IntN(5))
		case 6:
			e = putIP(state.NodePort(fmt.Sprintf("n%d", r.IntN(3))), "join", 100, 2+r.IntN(5))
		case 7, 8, 9, 10:
			e = putPod(r.IntN(6), r.IntN(2))
		default:
			subnet := r.IntN(3)
			e = putIP(state.PodPort("default", fmt.Sprintf("p%d", r.IntN(6))), fmt.Sprintf("s%d", subnet), subnet, 2+r.IntN(5))
		}
		if r.IntN(4) == 0 {
			e = remove(e)
		}
		events = append(events, e)
	}
	return events
}

// squash keeps the last event of each object: what a restarted process would see.
func squash(events []event) []event {
	seen := make(map[string]bool)
	var kept []event
	for _, e := range slices.Backward(events) {
		if !seen[e.key] {
			seen[e.key] = true
			kept = append(kept, e)
		}
	}
	slices.Reverse(kept)
	return kept
}

func reversed(events []event) []event {
	out := slices.Clone(events)
	slices.Reverse(out)
	return out
}

func doubled(events []event) []event {
	var out []event
	for _, e := range events {
		out = append(out, e, e)
	}
	return out
}

// rig is an engine driven step by step against a real ovsdb-server.
type rig struct {
	t       *testing.T
	server  *ovstest.Server
	store   *state.Store
	session *session
	results map[nb.Owner]Result
	held    Held
	refuted []nb.Owner // what Held answers
	after   func()     // each transaction
}

func newRig(t *testing.T, server *ovstest.Server) *rig {
	g := &rig{t: t, server: server, store: state.New(testConfig)}
	g.restart()
	return g
}

// Done, Synced and Held implement Sink.
func (g *rig) Done(results []Result) {
	for _, r := range results {
		g.results[r.Owner] = r
	}
	if g.after != nil {
		g.after()
	}
}
func (g *rig) Synced(bool) {}
func (g *rig) Held(h Held) []nb.Owner {
	g.held = h
	return g.refuted
}
func (g *rig) stats() *Stats { return g.session.Stats() }
func (g *rig) events(e []event) {
	for _, event := range e {
		event.apply(g.store)
	}
}

// restart is a new process with the same knowledge of the cluster, or a new session after a lost connection.
func (g *rig) restart() {
	g.t.Helper()
	if g.session != nil {
		g.session.conn.Close()
	}
	conn, err := nb.Dial(g.t.Context(), nb.Config{Endpoints: []string{g.server.Endpoint}, Log: logr.Discard()})
	if err != nil {
		g.t.Fatal(err)
	}
	g.results = make(map[nb.Owner]Result)
	g.session = newSession(New(Config{Store: g.store, Sink: g, Log: logr.Discard(), Rate: 1e9, Burst: 1e6, Compile: compileAskers}), conn)
	if err := conn.Acquire(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
	g.session.start()
	g.drain()
}

func (g *rig) drain() {
	g.t.Helper()
	if err := g.session.drain(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
}

// converged fails unless a fresh process, with a state that has not seen what was before, finds nothing to do and every child is
// listed in its parent, once.
func (g *rig) converged(what string) {
	g.t.Helper()
	g.store = copyOf(g.store)
	g.restart()
	if n := g.stats().Operations.Load(); n != 0 {
		g.t.Fatalf("%s: a fresh process still has %d operations", what, n)
	}
	g.checkEdges(what)
}

// copyOf is a state that has been filled at once.
func copyOf(old *state.Store) *state.Store {
	store := state.New(old.Config())
	copyTable(old.Vpcs, store.Vpcs)
	copyTable(old.Subnets, store.Subnets)
	copyTable(old.Nodes, store.Nodes)
	copyTable(old.Namespaces, store.Namespaces)
	copyTable(old.Policies, store.Policies)
	copyTable(old.Pods, store.Pods)
	copyTable(old.IPs, store.IPs)
	copyTable(old.Places, store.Places)
	copyTable(old.Services, store.Services)
	copyTable(old.EndpointSlices, store.EndpointSlices)
	copyTable(old.SwitchLBRules, store.SwitchLBRules)
	copyTable(old.RuleServices, store.RuleServices)
	copyTable(old.SecurityGroups, store.SecurityGroups)
	return store
}

func copyTable[T any](from, to *state.Table[T]) {
	for _, key := range from.Keys() {
		to.Put(key, from.Get(key))
	}
}

// checkEdges reads the columns that the engine does not monitor.
func (g *rig) checkEdges(what string) {
	g.t.Helper()
	var reply []struct {
		Rows []struct {
			Ports, Policies, ACLs any
			StaticRoutes          any `json:"static_routes"`
			HealthCheck           any `json:"health_check"`
		}
	}
	out := g.server.Transact(`["OVN_Northbound",{"op":"select","table":"Logical_Switch","where":[]},{"op":"select","table":"Logical_Router","where":[]},` +
		`{"op":"select","table":"Port_Group","where":[],"columns":["acls"]},{"op":"select","table":"Load_Balancer","where":[],"columns":["health_check"]}]`)
	if err := json.Unmarshal([]byte(out), &reply); err != nil {
		g.t.Fatal(err)
	}
	listed := 0
	for _, table := range reply {
		for _, row := range table.Rows {
			listed += setSize(row.Ports) + setSize(row.Policies) + setSize(row.ACLs) + setSize(row.StaticRoutes) + setSize(row.HealthCheck)
		}
	}
	children := 0
	for _, o := range g.session.conn.Owners() {
		for _, f := range g.session.conn.Owned(o) {
			if !f.Table.Root {
				children++
			}
		}
	}
	if listed != children {
		g.t.Fatalf("%s: %d rows are listed in a parent, %d say that they are", what, listed, children)
	}
}

// setSize counts the members of a set in OVSDB's JSON.
func setSize(v any) int {
	list, ok := v.([]any)
	if !ok || len(list) != 2 {
		return 0
	}
	if list[0] == "set" {
		return len(list[1].([]any))
	}
	return 1
}

// TestSequences runs each random life in many ways; each must end as a fresh process would have it.
func TestSequences(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	for seed := range 25 {
		r := rand.New(rand.NewPCG(uint64(seed), 3))
		inManyWays(t, server, fmt.Sprintf("life %d", seed), randomEvents(r))
		if t.Failed() {
			return
		}
	}
}

// inManyWays runs a life in each way; what is left must be what a fresh process wants.
func inManyWays(t *testing.T, server *ovstest.Server, name string, life []event) {
	t.Helper()
	ways := []struct {
		name string
		run  func(*rig)
	}{
		{"one by one", func(g *rig) {
			for _, e := range life {
				g.events([]event{e})
				g.drain()
			}
		}},
		{"all at once", func(g *rig) { g.events(life); g.drain() }},
		{"doubled", func(g *rig) {
			for _, e := range doubled(life) {
				g.events([]event{e})
				g.drain()
			}
		}},
		{"reversed, then forwards", func(g *rig) { g.events(reversed(life)); g.drain(); g.events(life); g.drain() }},
		{"squashed", func(g *rig) { g.events(squash(life)); g.drain() }},
		{"a restart after each step", func(g *rig) {
			for i, e := range life {
				g.events([]event{e})
				if i%2 == 0 { // of the process, else of the connection
					g.store = copyOf(g.store)
				}
				g.restart()
			}
		}},
	}
	for _, way := range ways {
		g := newRig(t, server) // an empty state first removes what the way before has left
		g.session.letGo()
		g.drain()
		way.run(g)
		g.converged(name + ", " + way.name)
		g.session.conn.Close()
		if t.Failed() {
			return
		}
	}
}
