package nb_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

func portRef(name string) string {
	return nb.Ref{Table: db.LogicalSwitchPortTable, ID: name}.String()
}

// sets is an owner with a port group and an address set that change by a little from one time to the next.
type sets struct{ ports, addresses *nb.Set }

var setsOwner = owner("group", "g")

func (s sets) want() nb.Want {
	if s.ports == nil {
		s.ports = nb.SetOf()
	}
	if s.addresses == nil {
		s.addresses = nb.SetOf()
	}
	return want(
		setsOwner,
		nb.Row{ID: "pg", Model: &db.PortGroup{Name: "pg"}, Members: s.ports},
		nb.Row{ID: "as", Model: &db.AddressSet{Name: "as"}, Members: s.addresses},
	)
}

// known tells whether the next comparison looks at changes only.
func known(conn *nb.Conn) bool {
	rows := conn.Owned(setsOwner)
	return len(rows) == 2 && !slices.ContainsFunc(rows, func(f nb.Found) bool { return conn.Known(f) == nil })
}

// expectConverged fails unless a fresh process, which compares everything, finds nothing to do.
func expectConverged(t *testing.T, server *ovstest.Server, what string, wants ...nb.Want) {
	t.Helper()
	fresh, err := nb.Dial(t.Context(), nb.Config{Endpoints: []string{server.Endpoint}, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if txn := nb.Plan(fresh, wants); !txn.Empty() {
		t.Fatalf("%s: a fresh process still plans\n%s%v", what, txn, txn.Ops)
	}
}

func TestKnownSets(t *testing.T) { onEachSchema(t, testKnownSets) }

// testKnownSets lets ports come and go, in the group or not. Sometimes the ports come in a transaction of their own: who
// waited for them must then be compared in full.
func testKnownSets(t *testing.T, schema string) {
	server := ovstest.StartServer(t, schema)
	conn := dial(t, server)
	apply(t, conn, want(owner("subnet", "s"), ls("s")))
	r := rand.New(rand.NewPCG(1, 11))
	var s sets
	there := make(map[string]bool)
	quick := 0
	for step := range 300 {
		for range 1 + r.IntN(3) {
			name := fmt.Sprintf("p%d", r.IntN(12))
			if r.IntN(2) == 0 {
				s.ports, s.addresses = s.ports.With(portRef(name)), s.addresses.With("10.0.0."+name[1:])
			} else {
				s.ports, s.addresses = s.ports.Without(portRef(name)), s.addresses.Without("10.0.0."+name[1:])
			}
			there[name] = r.IntN(2) == 0
		}
		var ports []nb.Want
		for _, name := range slices.Sorted(maps.Keys(there)) {
			ports = append(ports, want(owner("pod", name)))
			if there[name] {
				ports[len(ports)-1] = want(owner("pod", name), lsp(name, "s"))
			}
		}
		if r.IntN(4) == 0 {
			apply(t, conn, ports...)
			conn.Forget(setsOwner)
		}
		conn.Sync()
		if known(conn) {
			quick++
		}
		all := slices.Concat(ports, []nb.Want{s.want()})
		apply(t, conn, all...)
		expectConverged(t, server, fmt.Sprintf("step %d", step), all...)
	}
	if quick < 100 {
		t.Errorf("only %d steps compared changes: the sets are never known", quick)
	}
}

// TestKnownSetIsTouched lets somebody else change a set: what was known counts no more, also when our own transaction comes
// in between.
func TestKnownSetIsTouched(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	conn := dial(t, server)
	s := sets{addresses: nb.SetOf("10.0.0.1", "10.0.0.2", "10.0.0.3")}
	apply(t, conn, s.want())
	if !known(conn) {
		t.Fatal("the sets are not known after they were made")
	}
	server.Nbctl("remove", "Address_Set", "as", "addresses", "10.0.0.2")
	waitDrift(t, conn, setsOwner)
	if known(conn) {
		t.Error("a set that somebody has touched is known")
	}
	apply(t, conn, s.want())
	expectConverged(t, server, "the member that was removed", s.want())

	server.Nbctl("remove", "Address_Set", "as", "addresses", "10.0.0.2")
	s.addresses = s.addresses.With("10.0.0.4")
	txn := nb.Plan(conn, []nb.Want{s.want()}) // not yet aware of it
	if err := conn.Commit(t.Context(), txn); err != nil {
		t.Fatal(err)
	}
	waitDrift(t, conn, setsOwner)
	apply(t, conn, s.want())
	expectConverged(t, server, "the member that was removed before our transaction", s.want())
	if !known(conn) {
		t.Error("the sets are not known after the repair")
	}
	conn.Rescan()
	if known(conn) {
		t.Error("an audit takes what is known for granted")
	}
}

// BenchmarkKnownMember is one member more, and less, in a port group and in an address set of 10,000.
func BenchmarkKnownMember(b *testing.B) {
	_, conn := filled(b, benchPorts)
	refs, addresses := make([]string, benchPorts), make([]string, benchPorts)
	for i := range refs {
		refs[i], addresses[i] = portRef(benchPort(i).Rows[0].ID), fmt.Sprintf("10.16.%d.%d", i>>8, i&255)
	}
	without := sets{nb.SetOf(slices.Clone(refs[1:])...), nb.SetOf(slices.Clone(addresses[1:])...)}
	commit(b, conn, []nb.Want{without.want()})
	for name, with := range map[string]sets{
		"port":    {without.ports.With(refs[0]), without.addresses},
		"address": {without.ports, without.addresses.With(addresses[0])},
	} {
		b.Run(name+"/plan", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if txn := nb.Plan(conn, []nb.Want{with.want()}); len(txn.Ops) != 1 {
					b.Fatal(txn)
				}
			}
		})
		b.Run(name+"/commit", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				commit(b, conn, []nb.Want{with.want()})
				commit(b, conn, []nb.Want{without.want()})
				conn.Sync()
			}
		})
	}
	b.Run("in full", func(b *testing.B) {
		b.ReportAllocs()
		conn.Forget(setsOwner)
		for b.Loop() {
			if txn := nb.Plan(conn, []nb.Want{without.want()}); !txn.Empty() {
				b.Fatal(txn)
			}
		}
	})
}
