package engine

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// cluster is a small healthy one: a Subnet and n Pods in it.
func cluster(n int) []event {
	events := []event{putVpc("ovn-cluster"), putSubnet("join", "100.64.0.0/16", 0), putSubnet("s1", "10.1.0.0/16", 1)}
	for i := range n {
		port := state.PodPort("default", fmt.Sprintf("p%d", i))
		events = append(events, putIP(port, "s1", 1, 2+i), putPod(i, 1))
	}
	return events
}

// TestWork asserts what a change costs: a lost index is a failing test, not a slow cluster.
func TestWork(t *testing.T) {
	g := newRig(t, ovstest.StartServer(t, ovstest.NorthboundSchema))
	g.events(cluster(50))
	g.drain()
	steps := []struct {
		name                               string
		events                             []event
		compiled, transactions, operations uint64
	}{
		{"the same objects again", cluster(50), 0, 0, 0},
		{"a Pod without an address", []event{putPod(60, 1)}, 1, 0, 0},
		{"its address", []event{putIP("p60.default", "s1", 1, 99)}, 1, 1, 2},
		{"another UID", []event{putPod(60, 2)}, 1, 1, 1},
		{"a Pod goes", []event{remove(putPod(60, 1))}, 1, 1, 1},
		{"its address goes", []event{remove(putIP("p60.default", "s1", 1, 99))}, 0, 0, 0},
		{"a Subnet: it, and those that must not overlap", []event{putSubnet("s2", "10.2.0.0/16", 2)}, 3, 1, 7},
		{"a Node without an address: Subnets must not contain it", []event{putNode(1, 1)}, 4, 0, 0},
		{"its address", []event{putIP("node-n1", "join", 100, 2)}, 1, 1, 5},
	}
	for _, s := range steps {
		before := [3]uint64{g.stats().Compiled.Load(), g.stats().Transactions.Load(), g.stats().Operations.Load()}
		g.events(s.events)
		g.drain()
		after := [3]uint64{g.stats().Compiled.Load(), g.stats().Transactions.Load(), g.stats().Operations.Load()}
		got := [3]uint64{after[0] - before[0], after[1] - before[1], after[2] - before[2]}
		if want := [3]uint64{s.compiled, s.transactions, s.operations}; got != want {
			t.Errorf("%s: compiled, transactions, operations: %v, want %v", s.name, got, want)
		}
	}
}

// TestBurstSharesTransactions shows that what waits together commits together.
func TestBurstSharesTransactions(t *testing.T) {
	g := newRig(t, ovstest.StartServer(t, ovstest.NorthboundSchema))
	g.events(cluster(0))
	g.drain()
	before := g.stats().Transactions.Load()
	g.events(cluster(250)[3:])
	g.drain()
	if n := g.stats().Transactions.Load() - before; n != 3 {
		t.Errorf("250 Pods took %d transactions, want 3 of up to 100 owners", n)
	}
}

// TestStrangersRowIsLeftAlone shows that a row that Heddle did not make blocks the owner who wants its name, until it is gone.
func TestStrangersRowIsLeftAlone(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	server.Nbctl("ls-add", "stranger", "--", "lsp-add", "stranger", "p7.default")
	g := newRig(t, server)
	g.events(cluster(20))
	g.drain()
	p7 := nb.Owner{Kind: state.KindPod, Key: "default/p7"}
	if r := g.results[p7]; r.Blocked == nil || r.Blocked.Reason != nb.ReasonRowTaken {
		t.Errorf("p7: %+v", r)
	}
	g.expectPorts(20)
	server.Nbctl("lsp-del", "p7.default")
	for g.results[p7].Blocked != nil { // changes of our own arrive, too
		g.settle()
	}
	if r := g.results[p7]; r.Blocked != nil || r.Rows != 1 {
		t.Errorf("p7 after the stranger is gone: %+v", r)
	}
}

// settle waits until somebody else's change has arrived, and applies what follows from it.
func (g *rig) settle() {
	g.t.Helper()
	select {
	case <-g.session.conn.Changed():
	case <-g.t.Context().Done():
		g.t.Fatal("no change arrived")
	}
	g.session.repair(g.session.conn.Sync())
	g.drain()
}

// strictSchema is the northbound schema with a limit on the length of port options that real ones do not have, so that a
// valid owner can be refused.
func strictSchema(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(ovstest.NorthboundSchema)
	if err != nil {
		t.Skip(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	ports := schema["tables"].(map[string]any)["Logical_Switch_Port"].(map[string]any)["columns"].(map[string]any)
	ports["options"].(map[string]any)["type"].(map[string]any)["value"] = map[string]any{"type": "string", "maxLength": 20}
	data, err = json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "strict.ovsschema")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRefusedOwnerStandsAlone(t *testing.T) {
	g := newRig(t, ovstest.StartServer(t, strictSchema(t)))
	g.events(cluster(20))
	pod := &state.Pod{Namespace: "default", Name: "p7", UID: strings.Repeat("x", 21), Node: "n1"}
	g.store.Pods.Put(pod.Key(), pod)
	g.drain()
	bad := nb.Owner{Kind: state.KindPod, Key: "default/p7"}
	if r := g.results[bad]; r.Blocked == nil || r.Blocked.Reason != reasonRefused {
		t.Errorf("the bad owner: %+v", r)
	}
	g.expectPorts(20)
	g.events([]event{putPod(7, 1)})
	g.drain()
	if r := g.results[bad]; r.Blocked != nil || r.Rows != 1 {
		t.Errorf("the owner after it was mended: %+v", r)
	}
}

// expectPorts counts the ports of s1: one for each Pod, and the router's.
func (g *rig) expectPorts(want int) {
	g.t.Helper()
	if n := len(g.session.conn.Inside(nb.Ref{Table: "Logical_Switch", ID: "s1"})); n != want {
		g.t.Errorf("%d ports are in s1, want %d", n, want)
	}
}

// TestNoTextBreaksTheConnection shows that a text that OVSDB cannot carry blocks its owner, and nobody else.
func TestNoTextBreaksTheConnection(t *testing.T) {
	g := newRig(t, ovstest.StartServer(t, ovstest.NorthboundSchema))
	g.events(cluster(20))
	pod := &state.Pod{Namespace: "default", Name: "p7", UID: "a\x00b", Node: "n1"}
	g.store.Pods.Put(pod.Key(), pod)
	g.drain()
	if r := g.results[nb.Owner{Kind: state.KindPod, Key: "default/p7"}]; r.Blocked == nil || r.Blocked.Reason != nb.ReasonBadText {
		t.Errorf("the bad owner: %+v", r)
	}
	g.expectPorts(20)
}

// TestEmptyStateRemovesNothing shows that an empty cache does not empty the network, whoever asks what became of an owner.
func TestEmptyStateRemovesNothing(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	g := newRig(t, server)
	g.events(cluster(200))
	g.drain()
	rows := g.session.conn.Size()
	g.session.conn.Close()

	fresh := newRig(t, server) // a controller that sees no objects
	if fresh.held.Removals == 0 || fresh.session.conn.Size() != rows {
		t.Fatalf("held %d removals, %d rows of %d are left", fresh.held.Removals, fresh.session.conn.Size(), rows)
	}
	p7 := nb.Owner{Kind: state.KindPod, Key: "default/p7"}
	fresh.audit()
	fresh.store.Mark(p7)
	fresh.drain()
	if n := fresh.session.conn.Size(); n != rows {
		t.Fatalf("the audit, or who asked, removed what is held: %d rows of %d are left", n, rows)
	}
	if r, told := fresh.results[p7]; told {
		t.Errorf("p7, which is held: %+v", r)
	}
	fresh.events(cluster(3)) // objects that do come are served
	fresh.drain()
	if r := fresh.results[nb.Owner{Kind: state.KindPod, Key: "default/p1"}]; r.Rows != 1 {
		t.Errorf("p1: %+v", r)
	}
	fresh.session.letGo()
	fresh.drain()
	fresh.expectPorts(4)
	if fresh.held.Removals != 0 {
		t.Errorf("after the release %d removals are held", fresh.held.Removals)
	}
	if r, told := fresh.results[p7]; !told || r.Rows != 0 {
		t.Errorf("p7, which is released: %+v, told: %v", r, told)
	}
	if n := fresh.stats().DriftRepaired.Load(); n != 0 {
		t.Errorf("%d rows are counted as repaired", n)
	}
}

// TestHeldPorts shows what the sink learns of held ports, and that those go which it knows better.
func TestHeldPorts(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	g := newRig(t, server)
	g.events(cluster(200))
	g.drain()
	g.session.conn.Close()

	p7 := nb.Owner{Kind: state.KindPod, Key: "default/p7"}
	fresh := &rig{t: t, server: server, store: state.New(testConfig), refuted: []nb.Owner{p7}}
	fresh.restart()
	if n := len(fresh.held.Ports); n != 200 {
		t.Fatalf("%d ports are held, want 200", n)
	}
	at := slices.IndexFunc(fresh.held.Ports, func(p Port) bool { return p.Owner == p7 })
	want := Port{Owner: p7, Name: "p7.default", Subnet: "s1", MAC: "0a:58:0a:01:00:01", IPs: []netip.Addr{netip.MustParseAddr("10.1.0.9")}}
	if diff := cmp.Diff(want, fresh.held.Ports[at], cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	if n := len(fresh.session.conn.Owned(p7)); n != 0 {
		t.Errorf("p7, which is refuted, has %d rows", n)
	}
}

// TestAskedBetweenSessions shows that who asks while there is no connection learns that an owner has no rows, although neither
// an object nor a row is left of it.
func TestAskedBetweenSessions(t *testing.T) {
	g := newRig(t, ovstest.StartServer(t, ovstest.NorthboundSchema))
	p7 := nb.Owner{Kind: state.KindPod, Key: "default/p7"}
	g.store.Mark(p7)
	g.restart()
	if r, told := g.results[p7]; !told || r.Rows != 0 || r.Blocked != nil {
		t.Errorf("p7: %+v, told: %v", r, told)
	}
}

// TestDriftIsRepaired shows that somebody else's hand is undone at once, and counted.
func TestDriftIsRepaired(t *testing.T) {
	g := newRig(t, ovstest.StartServer(t, ovstest.NorthboundSchema))
	g.events(cluster(3))
	g.drain()
	g.server.Nbctl("lsp-del", "p1.default", "--", "lsp-set-addresses", "p2.default", "unknown")
	for g.stats().DriftRepaired.Load() < 2 { // events of one transaction come one by one, after echoes of our own
		g.settle()
	}
	if n := g.stats().DriftRepaired.Load(); n != 2 {
		t.Errorf("%d rows repaired, want 2", n)
	}
	g.converged("after the repair")
}

// TestMovedRowIsRepaired shows that an audit finds what no event tells: ports that somebody lists in another switch, or in two.
func TestMovedRowIsRepaired(t *testing.T) {
	g := newRig(t, ovstest.StartServer(t, ovstest.NorthboundSchema))
	g.events(append(cluster(4), putSubnet("s2", "10.2.0.0/16", 2)))
	g.drain()
	for i, move := range [][]string{{"s1", "s2"}, {"", "s2"}} {
		uuid := strings.TrimSpace(g.server.Nbctl("--bare", "--columns=_uuid", "find", "Logical_Switch_Port", fmt.Sprintf("name=p%d.default", i)))
		var command []string
		if move[1] != "" {
			command = append(command, "add", "Logical_Switch", move[1], "ports", uuid, "--")
		}
		if move[0] != "" {
			command = append(command, "remove", "Logical_Switch", move[0], "ports", uuid, "--")
		}
		g.server.Nbctl(append(command, "show")...)
	}
	before := g.stats().Operations.Load()
	g.audit()
	g.drain()
	for name, want := range map[string]int{"s1": 5, "s2": 1} { // with the link to the router
		if ports := g.server.Nbctl("lsp-list", name); strings.Count(ports, "\n") != want {
			t.Errorf("%s has %s, want %d ports", name, ports, want)
		}
	}
	after := g.stats().Operations.Load()
	g.audit()
	g.drain()
	if again := g.stats().Operations.Load(); after == before || again != after {
		t.Errorf("the first audit did %d operations, the second %d", after-before, again-after)
	}
	g.converged("after the repair")
}

func (g *rig) audit() {
	g.t.Helper()
	if err := g.session.audit(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
}

// TestDriftOfOwnChangesIsNone shows that the echo of our own transactions is not taken for somebody else's change.
func TestDriftOfOwnChangesIsNone(t *testing.T) {
	g := newRig(t, ovstest.StartServer(t, ovstest.NorthboundSchema))
	g.events(cluster(50))
	g.drain()
	g.audit()
	g.drain()
	drift := g.session.conn.Rescan()
	if n := g.stats().DriftRepaired.Load(); n != 0 || len(drift.Owners) != 0 {
		t.Errorf("%d rows repaired, the index differs for %v", n, drift.Owners)
	}
}

// TestOverlapIsSettledByAge shows that of two Subnets the younger gives way, in whatever order they come.
func TestOverlapIsSettledByAge(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	old, young := putSubnet("s1", "10.1.0.0/16", 1), putSubnet("s9", "10.1.128.0/17", 2)
	for _, order := range [][]event{{old, young}, {young, old}} {
		g := newRig(t, server)
		g.events([]event{putVpc("ovn-cluster"), putSubnet("join", "100.64.0.0/16", 0)})
		for _, e := range order {
			g.events([]event{e})
			g.drain()
		}
		if r := g.results[nb.Owner{Kind: state.KindSubnet, Key: "s9"}]; len(r.Problems) != 1 || r.Rows != 0 {
			t.Errorf("the younger Subnet: %+v", r)
		}
		if r := g.results[nb.Owner{Kind: state.KindSubnet, Key: "s1"}]; len(r.Problems) != 0 || r.Rows == 0 {
			t.Errorf("the older Subnet: %+v", r)
		}
		g.session.conn.Close()
	}
}
