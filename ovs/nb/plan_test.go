package nb_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// dial connects with a fresh index and takes the database over.
func dial(t testing.TB, server *ovstest.Server) *nb.Conn {
	t.Helper()
	conn, err := nb.Dial(t.Context(), nb.Config{Endpoints: []string{server.Endpoint}, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if err := conn.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	return conn
}

func owner(kind, key string) nb.Owner { return nb.Owner{Kind: kind, Key: key} }

func ls(name string) nb.Row { return nb.Row{ID: name, Model: &db.LogicalSwitch{Name: name}} }

func lsp(name, in string, addresses ...string) nb.Row {
	return nb.Row{
		ID: name, Model: &db.LogicalSwitchPort{Name: name, Addresses: addresses},
		In: []nb.Edge{{Parent: nb.Ref{Table: db.LogicalSwitchTable, ID: in}, Column: "ports"}},
	}
}

func group(name string, ports ...string) nb.Row {
	pg := &db.PortGroup{Name: name}
	for _, p := range ports {
		pg.Ports = append(pg.Ports, nb.Ref{Table: db.LogicalSwitchPortTable, ID: p}.String())
	}
	return nb.Row{ID: name, Model: pg}
}

func acl(id, in, match string, priority int) nb.Row {
	return nb.Row{
		ID:    id,
		Model: &db.ACL{Priority: priority, Direction: db.ACLDirectionToLport, Match: match, Action: db.ACLActionDrop},
		In:    []nb.Edge{{Parent: nb.Ref{Table: db.PortGroupTable, ID: in}, Column: "acls"}},
	}
}

func set(name string, addresses ...string) nb.Row {
	return nb.Row{ID: name, Model: &db.AddressSet{Name: name, Addresses: addresses}}
}

func want(o nb.Owner, rows ...nb.Row) nb.Want { return nb.Want{Owner: o, Rows: rows} }

// apply plans, commits and returns the plan.
func apply(t testing.TB, conn *nb.Conn, wants ...nb.Want) nb.Txn {
	t.Helper()
	conn.Sync()
	txn := nb.Plan(conn, wants)
	if err := conn.Commit(t.Context(), txn); err != nil {
		t.Fatalf("%v\n%s", err, txn)
	}
	return txn
}

func check(t testing.TB, txn nb.Txn, text string) {
	t.Helper()
	if got := strings.TrimSpace(txn.String()); got != strings.TrimSpace(text) {
		t.Errorf("the plan is\n%s\nwant\n%s", got, text)
	}
}

func TestPlan(t *testing.T) { onEachSchema(t, testPlan) }

func testPlan(t *testing.T, schema string) {
	blue, red := owner("subnet", "blue"), owner("subnet", "red")
	web, dns := owner("pod", "default/web"), owner("pod", "default/dns")
	server := ovstest.StartServer(t, schema)
	conn := dial(t, server)
	steps := []struct {
		name  string
		wants []nb.Want
		plan  string
	}{
		{
			"a port waits for its switch",
			[]nb.Want{want(web, lsp("web", "blue", "m 1"))},
			`! pod/default/web MissingParent: @Logical_Switch/blue does not exist yet`,
		},
		{"switch and port together, in any order", []nb.Want{want(web, lsp("web", "blue", "m 1")), want(blue, ls("blue"))}, `
+ @Logical_Switch_Port/web (pod/default/web)
+ @Logical_Switch/blue (subnet/blue)`},
		{"nothing to do", []nb.Want{want(web, lsp("web", "blue", "m 1")), want(blue, ls("blue"))}, ``},
		{"one column", []nb.Want{want(web, lsp("web", "blue", "m 2"))}, `~ @Logical_Switch_Port/web addresses (pod/default/web)`},
		{
			"a second claimant",
			[]nb.Want{want(dns, lsp("web", "blue", "m 3"))},
			`! pod/default/dns RowTaken: @Logical_Switch_Port/web belongs to pod/default/web`,
		},
		{"a group leaves out what does not exist", []nb.Want{want(owner("group", "g"), group("g", "web", "dns"), acl("a", "g", "ip", 5))}, `
+ @Port_Group/g (group/g)
+ @ACL/a (group/g)
? group/g: @Logical_Switch_Port/dns is not there yet`},
		{"and takes it in when it does", []nb.Want{want(dns, lsp("dns", "blue")), want(owner("group", "g"), group("g", "web", "dns"), acl("a", "g", "ip", 5))}, `
+ @Logical_Switch_Port/dns (pod/default/dns)
~ @Port_Group/g ports (group/g)`},
		{
			"a switch with somebody's port stays",
			[]nb.Want{want(blue)},
			`! subnet/blue NotEmpty: @Logical_Switch/blue still holds rows of 2 others, the first is pod/default/dns`,
		},
		{"a move to another switch", []nb.Want{want(red, ls("red")), want(web, lsp("web", "red", "m 2"))}, `
+ @Logical_Switch/red (subnet/red)
~ @Logical_Switch_Port/web external_ids (pod/default/web)`},
		{"the last port and its switch leave together", []nb.Want{want(blue), want(dns)}, `
- @Logical_Switch/blue (subnet/blue)
- @Logical_Switch_Port/dns (pod/default/dns)`},
		{
			"a row changes hands",
			[]nb.Want{want(web), want(dns, lsp("web", "red", "m 2"))},
			`~ @Logical_Switch_Port/web external_ids (pod/default/dns)`,
		},
		{"everything goes", []nb.Want{want(red), want(dns), want(owner("group", "g"))}, `
- @Logical_Switch/red (subnet/red)
- @Logical_Switch_Port/web (pod/default/dns)
- @ACL/a (group/g)
- @Port_Group/g (group/g)`},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			check(t, apply(t, conn, s.wants...), s.plan)
		})
	}
	if left := server.Nbctl("--bare", "--columns=name", "list", "Logical_Switch_Port"); left != "" {
		t.Errorf("ports are left over: %s", left)
	}
}

func TestMembersAreMutated(t *testing.T) { onEachSchema(t, testMembersAreMutated) }

func testMembersAreMutated(t *testing.T, schema string) {
	conn := dial(t, ovstest.StartServer(t, schema))
	o := owner("group", "s")
	apply(t, conn, want(o, set("s", "10.0.0.1", "10.0.0.2")))
	txn := apply(t, conn, want(o, set("s", "10.0.0.2", "10.0.0.3")))
	check(t, txn, `~ @Address_Set/s addresses (group/s)`)
	for _, op := range txn.Ops {
		if op.Op != "mutate" || len(op.Mutations) != 2 {
			t.Errorf("the set was not changed by its difference: %+v", op)
		}
	}
	check(t, apply(t, conn, want(o, set("s", "10.0.0.3", "10.0.0.2"))), ``)
	check(t, apply(t, conn, want(o, set("s", "10.0.0.2", "10.0.0.3", "10.0.0.3"))), ``) // a set is a set
	check(t, apply(t, conn, want(o, set("s", "10.0.0.4", "10.0.0.4"))), `~ @Address_Set/s addresses (group/s)`)
	p := owner("pod", "p")
	check(t, apply(t, conn, want(o, ls("blue")), want(p, lsp("p", "blue", "m 1", "m 1"))), `
+ @Logical_Switch/blue (group/s)
+ @Logical_Switch_Port/p (pod/p)
- @Address_Set/s (group/s)`)
	check(t, apply(t, conn, want(p, lsp("p", "blue", "m 1"))), ``)
}

func TestAdoptsOnlyKubeOVN(t *testing.T) { onEachSchema(t, testAdoptsOnlyKubeOVN) }

func testAdoptsOnlyKubeOVN(t *testing.T, schema string) {
	server := ovstest.StartServer(t, schema)
	server.Nbctl("ls-add", "stranger")
	server.Nbctl("ls-add", "theirs", "--", "set", "Logical_Switch", "theirs", "external_ids:vendor=kube-ovn", "external_ids:note=keep")
	server.Nbctl("lsp-add", "theirs", "web.default", "--", "set", "Logical_Switch_Port", "web.default", "external_ids:vendor=kube-ovn")
	conn := dial(t, server)
	web := want(owner("pod", "default/web"), lsp("web.default", "theirs", "m 1"))
	txn := apply(t, conn, want(owner("subnet", "theirs"), ls("theirs")), want(owner("subnet", "stranger"), ls("stranger")), web)
	check(t, txn, `
~ @Logical_Switch/theirs external_ids (subnet/theirs)
~ @Logical_Switch_Port/web.default addresses,external_ids (pod/default/web)
! subnet/stranger RowTaken: @Logical_Switch/stranger exists and was not made by Heddle`)
	check(t, apply(t, conn, web), ``)
	if note := server.Nbctl("get", "Logical_Switch", "theirs", "external_ids:note"); strings.TrimSpace(note) != "keep" {
		t.Errorf("a key of somebody else is gone: %q", note)
	}
	if ports := server.Nbctl("lsp-list", "theirs"); strings.Count(ports, "web.default") != 1 {
		t.Errorf("ports of the switch: %s", ports)
	}
}

func TestFencing(t *testing.T) { onEachSchema(t, testFencing) }

func testFencing(t *testing.T, schema string) {
	server := ovstest.StartServer(t, schema)
	old := dial(t, server)
	apply(t, old, want(owner("subnet", "a"), ls("a")))
	young := dial(t, server)
	txn := nb.Plan(old, []nb.Want{want(owner("subnet", "b"), ls("b"))})
	if err := old.Commit(t.Context(), txn); !errors.Is(err, nb.ErrFenced) {
		t.Errorf("a deposed leader committed: %v", err)
	}
	apply(t, young, want(owner("subnet", "c"), ls("c")))
	if names := server.Nbctl("--bare", "--columns=name", "list", "Logical_Switch"); strings.Contains(names, "b") {
		t.Errorf("switches: %s", names)
	}
}

func TestRefusedLeavesEverything(t *testing.T) { onEachSchema(t, testRefusedLeavesEverything) }

func testRefusedLeavesEverything(t *testing.T, schema string) {
	conn := dial(t, ovstest.StartServer(t, schema))
	bad := acl("a", "g", "ip", 99999) // priority is 0 to 32767
	txn := nb.Plan(conn, []nb.Want{want(owner("subnet", "a"), ls("a")), want(owner("group", "g"), group("g"), bad)})
	if err := conn.Commit(t.Context(), txn); !errors.Is(err, nb.ErrRefused) {
		t.Fatalf("got %v", err)
	}
	check(t, apply(t, conn, want(owner("subnet", "a"), ls("a"))), `+ @Logical_Switch/a (subnet/a)`)
}

func TestSomebodyElsesHand(t *testing.T) { onEachSchema(t, testSomebodyElsesHand) }

func testSomebodyElsesHand(t *testing.T, schema string) {
	server := ovstest.StartServer(t, schema)
	conn := dial(t, server)
	web := want(owner("pod", "default/web"), lsp("web", "blue", "m 1"))
	apply(t, conn, want(owner("subnet", "blue"), ls("blue")), web)
	server.Nbctl("lsp-del", "web")
	waitDrift(t, conn, web.Owner)
	check(t, apply(t, conn, web), `+ @Logical_Switch_Port/web (pod/default/web)`)
}

// world is a random but valid set of wants.
type world map[nb.Owner][]nb.Row

func randomWorld(r *rand.Rand) world {
	w := make(world)
	switches := r.IntN(4)
	for i := range switches {
		name := fmt.Sprintf("s%d", i)
		w[owner("subnet", name)] = []nb.Row{ls(name)}
	}
	var ports []string
	for i := range r.IntN(8) {
		if switches == 0 {
			break
		}
		name := fmt.Sprintf("p%d", i)
		ports = append(ports, name)
		w[owner("pod", name)] = []nb.Row{lsp(name, fmt.Sprintf("s%d", r.IntN(switches)), fmt.Sprintf("m %d", r.IntN(3)))}
	}
	for i := range r.IntN(4) {
		name := fmt.Sprintf("g%d", i)
		members := slices.DeleteFunc(slices.Clone(ports), func(string) bool { return r.IntN(2) == 0 })
		rows := []nb.Row{group(name, members...), set("a"+name, members...)}
		for j := range r.IntN(3) {
			rows = append(rows, acl(fmt.Sprintf("%s-%d", name, j), name, "ip", r.IntN(3)))
		}
		w[owner("group", name)] = rows
	}
	return w
}

// wants lists every owner of the world, and every owner in old that is gone, in random order.
func (w world) wants(r *rand.Rand, old world) []nb.Want {
	all := maps.Clone(w)
	for o := range old {
		if _, ok := w[o]; !ok {
			all[o] = nil
		}
	}
	list := make([]nb.Want, 0, len(all))
	for _, o := range slices.SortedFunc(maps.Keys(all), nb.Owner.Compare) {
		list = append(list, nb.Want{Owner: o, Rows: all[o]})
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func TestRandomWorlds(t *testing.T) { onEachSchema(t, testRandomWorlds) }

// testRandomWorlds goes from world to world in batches of any size, with blocked owners retried, and compares each result
// with what a fresh process sees.
func testRandomWorlds(t *testing.T, schema string) {
	server := ovstest.StartServer(t, schema)
	conn := dial(t, server)
	old := world{}
	for seed := range 200 {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		next := randomWorld(r)
		pending := next.wants(r, old)
		for round := 0; len(pending) > 0; round++ {
			if round > 100 {
				t.Fatalf("world %d does not converge: %v", seed, pending)
			}
			n := 1 + r.IntN(len(pending))
			txn := apply(t, conn, pending[:n]...)
			pending = append(slices.Clone(pending[n:]), retry(txn, pending[:n])...)
			if txn.Empty() && len(txn.Blocked) > 0 { // what blocks is elsewhere: go on with all of them at once
				r.Shuffle(len(pending), func(i, j int) { pending[i], pending[j] = pending[j], pending[i] })
			}
		}
		if txn := nb.Plan(conn, next.wants(r, old)); !txn.Empty() || len(txn.Blocked) > 0 {
			t.Fatalf("world %d, incremental view:\n%s", seed, txn)
		}
		if seed%20 == 0 {
			conn = dial(t, server)
			if txn := nb.Plan(conn, next.wants(r, old)); !txn.Empty() || len(txn.Blocked) > 0 {
				t.Fatalf("world %d, fresh view:\n%s", seed, txn)
			}
			if got, want := len(conn.Owners()), len(next); got != want {
				t.Fatalf("world %d: %d owners have rows, want %d", seed, got, want)
			}
		}
		old = next
	}
}

// retry lists the wants that were left out, whole or in part.
func retry(txn nb.Txn, wants []nb.Want) []nb.Want {
	again := make(map[nb.Owner]bool)
	for _, b := range txn.Blocked {
		again[b.Owner] = true
	}
	for _, m := range txn.Missing {
		again[m.Owner] = true
	}
	return slices.DeleteFunc(slices.Clone(wants), func(w nb.Want) bool { return !again[w.Owner] })
}
