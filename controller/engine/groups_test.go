package engine

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// TestGroupSequences runs lives with groups in many ways; each must end as a fresh process would have it.
func TestGroupSequences(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	for seed := range uint64(10) {
		inManyWays(t, server, fmt.Sprintf("life %d", seed), randomGroupEvents(rand.New(rand.NewPCG(seed, 17))))
		if t.Failed() {
			return
		}
	}
}

// TestPodsAreBornInTheirGroups commits as little at a time as can be, and looks after each transaction: a port that was not there
// before it is in all of its groups.
func TestPodsAreBornInTheirGroups(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	born := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 19))
		g := newRig(t, server)
		g.session.letGo()
		g.drain()
		g.watchBirths(&born)
		for life := randomGroupEvents(r); len(life) > 0; {
			n := min(len(life), 1+r.IntN(6))
			g.events(life[:n])
			life = life[n:]
			if r.IntN(8) == 0 { // all at once, through the bulk lane, as at a restart with an empty database
				g.store.MarkBulk(g.session.everybody(nil)...)
			}
			g.stepwise()
		}
		g.after = nil
		g.converged(fmt.Sprintf("life %d", seed))
		g.session.conn.Close()
	}
	if born < 200 {
		t.Errorf("only %d ports were born", born)
	}
}

// stepwise drains one change at a time.
func (g *rig) stepwise() {
	g.t.Helper()
	for {
		owners, _ := g.store.Take(1)
		if len(owners) == 0 {
			return
		}
		g.session.repair(g.session.conn.Sync())
		if err := g.session.apply(g.t.Context(), owners); err != nil {
			g.t.Fatal(err)
		}
	}
}

// watchBirths looks, after each transaction from now on, whether the ports that came are in their groups, and counts them.
func (g *rig) watchBirths(born *int) {
	before := g.portUUIDs()
	g.after = func() {
		now := g.portUUIDs()
		for uuid, port := range now {
			if before[uuid] == "" {
				*born++
				g.checkBorn(uuid, port)
			}
		}
		before = now
	}
}

func (g *rig) portUUIDs() map[string]string {
	ports := make(map[string]string)
	for _, o := range g.session.conn.Owners() {
		for _, f := range g.session.conn.Owned(o) {
			if o.Kind == state.KindPod {
				ports[f.UUID] = f.ID
			}
		}
	}
	return ports
}

// checkBorn compares the port groups that have the port with those that should.
func (g *rig) checkBorn(uuid, port string) {
	g.t.Helper()
	ref := nb.Ref{Table: db.LogicalSwitchPortTable, ID: port}.String()
	for _, o := range g.store.Groups() {
		var sets []state.GroupSet
		g.store.Inspect(func(v *state.View) { sets = v.Sets(o.Key) })
		for _, set := range sets {
			f, ok := g.session.conn.Find(nb.Ref{Table: db.PortGroupTable, ID: set.Name})
			if set.Kind != state.Ports || !set.Members.Has(ref) {
				continue
			}
			if !ok || !slices.Contains(g.session.conn.Row(f).(*db.PortGroup).Ports, uuid) {
				g.t.Errorf("%s came without its group %s", port, o.Key)
			}
		}
	}
}

// TestGroupWork asserts what changes cost that groups take part in, in one transaction each.
func TestGroupWork(t *testing.T) {
	g := newRig(t, ovstest.StartServer(t, ovstest.NorthboundSchema))
	g.events([]event{
		putVpc("ovn-cluster"), putSubnet("join", "100.64.0.0/16", 0), putSubnet("s0", "10.0.0.0/16", 1),
		putNamespace(0, "team=0"), putNamespace(1, "team=1"),
		putAsker(0, selectors[0], selectors[1]), putAsker(1, selectors[1], selectors[2], selectors[3]), putAsker(2, selectors[4]),
	})
	for i := range 20 {
		g.events([]event{putPodIP(0, i, 0, 2+i), putLabelled(0, i, "app=7")})
	}
	g.drain()
	for _, s := range []struct {
		name   string
		events []event
		want   work
	}{
		{"a Pod without an address", []event{putLabelled(0, 50, "app=7")}, work{1, 0, 0}},
		{"its address: the port and its edge, three groups of two sets", []event{putPodIP(0, 50, 0, 99)}, work{4, 1, 2 + 6}},
		{"another address: the port, three address sets", []event{putPodIP(0, 50, 0, 98)}, work{4, 1, 1 + 3}},
		{"a label: it joins one group", []event{putLabelled(0, 50, "app=1")}, work{2, 1, 2}},
		{"another label, the same groups", []event{putLabelled(0, 50, "app=0")}, work{1, 0, 0}},
		{"labels of the Namespace: a group of 21 loses them", []event{putNamespace(0, "team=5")}, work{1, 1, 2}},
		{"labels that nobody looks at", []event{putNamespace(0, "team=5", "x=y")}, work{0, 0, 0}},
		{"a Pod in no Namespace's group", []event{putPodIP(1, 1, 0, 97), putLabelled(1, 1)}, work{2, 1, 2 + 2}},
		{"a Pod goes, with its address", []event{remove(putLabelled(0, 50)), remove(putPodIP(0, 50, 0, 98))}, work{4, 1, 1 + 6}},
		{"a rule: the sets of a new group, and itself", []event{putAsker(3, selectors[6])}, work{2, 1, 4}},
		{"the same selector again: a rule", []event{putAsker(4, selectors[6])}, work{1, 1, 2}},
		{"one of them goes", []event{remove(putAsker(4))}, work{1, 1, 1}},
		{"the other goes: nobody asks for the group", []event{remove(putAsker(3))}, work{2, 1, 2}},
	} {
		before := workOf(g.stats())
		g.events(s.events)
		g.drain()
		if got := workOf(g.stats()).since(before); got != s.want {
			t.Errorf("%s: %+v, want %+v", s.name, got, s.want)
		}
	}
	g.converged("after all that")
}

// TestGroupDrift undoes what somebody else has done to a group, in the database or to a port in it.
func TestGroupDrift(t *testing.T) {
	g := newRig(t, ovstest.StartServer(t, ovstest.NorthboundSchema))
	g.events([]event{putVpc("ovn-cluster"), putSubnet("join", "100.64.0.0/16", 0), putSubnet("s0", "10.0.0.0/16", 1), putAsker(0, selectors[0])})
	for i := range 5 {
		g.events([]event{putPodIP(0, i, 0, 2+i), putLabelled(0, i)})
	}
	g.drain()
	for _, hand := range [][]string{
		{"lsp-del", "p1.ns0"},
		{"clear", "Address_Set", g.setName(state.IPv4), "addresses"},
		{"clear", "Port_Group", g.setName(state.Ports), "ports"},
		{"pg-del", g.setName(state.Ports)},
	} {
		repaired := g.stats().DriftRepaired.Load()
		g.server.Nbctl(hand...)
		for g.stats().DriftRepaired.Load() == repaired || !g.quiet() {
			g.settle()
		}
		g.converged(strings.Join(hand, " "))
	}
}

// quiet tells whether the database holds as many rows, and members of the only group, as it should.
func (g *rig) quiet() bool {
	for _, kind := range []state.SetKind{state.Ports, state.IPv4} {
		f, ok := g.session.conn.Find(nb.Ref{Table: map[state.SetKind]string{state.Ports: db.PortGroupTable, state.IPv4: db.AddressSetTable}[kind], ID: g.setName(kind)})
		if !ok {
			return false
		}
		switch m := g.session.conn.Row(f).(type) {
		case *db.PortGroup:
			ok = len(m.Ports) == len(g.portUUIDs())
		case *db.AddressSet:
			ok = len(m.Addresses) == len(g.portUUIDs())
		}
		if !ok {
			return false
		}
	}
	return true
}

// setName is the name of a set of the only group.
func (g *rig) setName(kind state.SetKind) (name string) {
	key := g.store.Groups()[0].Key
	g.store.Inspect(func(v *state.View) {
		for _, set := range v.Sets(key) {
			if set.Kind == kind {
				name = set.Name
			}
		}
	})
	return name
}

// TestRebuiltInTheirGroups fills an empty database, as after the loss of its files: groups come first.
func TestRebuiltInTheirGroups(t *testing.T) {
	g := newRig(t, ovstest.StartServer(t, ovstest.NorthboundSchema))
	g.session.cfg.Batch = 7
	g.events([]event{putVpc("ovn-cluster"), putSubnet("join", "100.64.0.0/16", 0), putSubnet("s0", "10.0.0.0/16", 1), putAsker(0, selectors[0], selectors[1])})
	for i := range 50 {
		g.events([]event{putPodIP(0, i, 0, 2+i), putLabelled(0, i)})
	}
	born := 0
	g.watchBirths(&born)
	g.session.start()
	g.drain()
	if first := g.session.conn.Size(); born != 50 {
		t.Errorf("%d ports of %d rows were born, want 50", born, first)
	}
	g.after = nil
	g.converged("rebuilt")
}

// TestRefusedPodKeepsItsGroups refuses a Pod among others that join the same group. Its Pods were dirty before the group was.
func TestRefusedPodKeepsItsGroups(t *testing.T) {
	g := newRig(t, ovstest.StartServer(t, strictSchema(t)))
	g.events([]event{putVpc("ovn-cluster"), putSubnet("join", "100.64.0.0/16", 0), putSubnet("s0", "10.0.0.0/16", 1), putAsker(0, selectors[0])})
	g.drain()
	born := 0
	g.watchBirths(&born)
	bad := &state.Pod{Namespace: "ns0", Name: "p7", UID: strings.Repeat("x", 21), Node: "n1"}
	for i := range 20 {
		g.events([]event{putLabelled(0, i)})
	}
	g.store.Pods.Put(bad.Key(), bad)
	for i := range 20 {
		g.events([]event{putPodIP(0, i, 0, 2+i)})
	}
	g.drain()
	if r := g.results[nb.Owner{Kind: state.KindPod, Key: bad.Key()}]; r.Blocked == nil || r.Blocked.Reason != reasonRefused {
		t.Errorf("the bad Pod: %+v", r)
	}
	if born != 19 {
		t.Errorf("%d ports, want 19", born)
	}
	g.events([]event{putLabelled(0, 7)})
	g.drain()
	if born != 20 {
		t.Errorf("%d ports after the Pod was mended, want 20", born)
	}
	g.after = nil
	g.converged("after the Pod was mended")
}

// TestHeldPodsKeepTheirGroups shows that as long as Pods that are not to be found are not removed, they stay in their groups.
func TestHeldPodsKeepTheirGroups(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	base := []event{putVpc("ovn-cluster"), putSubnet("join", "100.64.0.0/16", 0), putSubnet("s0", "10.0.0.0/16", 1), putAsker(0, selectors[0])}
	g := newRig(t, server)
	g.events(base)
	for i := range 200 {
		g.events([]event{putPodIP(0, i, 0, 2+i), putLabelled(0, i)})
	}
	g.drain()
	g.session.conn.Close()

	fresh := &rig{t: t, server: server, store: state.New(testConfig)} // a controller that sees no Pods
	fresh.events(base)
	fresh.restart()
	fresh.events([]event{putPodIP(0, 500, 0, 250), putLabelled(0, 500)})
	fresh.drain()
	count := func() int {
		f, _ := fresh.session.conn.Find(nb.Ref{Table: db.PortGroupTable, ID: fresh.setName(state.Ports)})
		return len(fresh.session.conn.Row(f).(*db.PortGroup).Ports)
	}
	if n := count(); fresh.held.Removals == 0 || n != 201 {
		t.Errorf("%d removals are held, the group has %d ports, want 201", fresh.held.Removals, n)
	}
	fresh.session.letGo()
	fresh.drain()
	if n := count(); n != 1 {
		t.Errorf("after the release the group has %d ports", n)
	}
	fresh.converged("after the release")
}

// BenchmarkMember is one Pod that joins and leaves a port group and an address set of 10,000, until each is committed.
func BenchmarkMember(b *testing.B) {
	store := state.New(testConfig)
	for _, e := range []event{putVpc("ovn-cluster"), putSubnet("join", "100.64.0.0/16", 0), putSubnet("s0", "10.0.0.0/16", 1), putAsker(0, selectors[0])} {
		e.apply(store)
	}
	put := func(i int) {
		putAddress(store, fmt.Sprintf("p%d.ns0", i), "s0", netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		putLabelled(0, i).apply(store)
	}
	for i := range 10_000 {
		put(i)
	}
	s := openSession(b, ovstest.StartServer(b, ovstest.NorthboundSchema), store)
	s.start()
	converge(b, s)
	put(10_000)
	converge(b, s)
	b.Run("compile and compare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			wants, _ := s.gather(store.Groups())
			if txn := nb.Plan(s.conn, wants); !txn.Empty() {
				b.Fatal(txn)
			}
		}
	})
	b.Run("commit", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%2 == 0 {
				remove(putLabelled(0, 10_000)).apply(store)
			} else {
				putLabelled(0, 10_000).apply(store)
			}
			converge(b, s)
		}
	})
}
