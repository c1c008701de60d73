package engine

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

func putPolicy(namespace, i int, p state.NetworkPolicy) event {
	p.Namespace, p.Name = fmt.Sprintf("ns%d", namespace), fmt.Sprintf("np%d", i)
	p.Pods.Namespace = p.Namespace
	key := p.Namespace + "/" + p.Name
	return event{"networkpolicy/" + key, func(s *state.Store) { s.Policies.Put(key, &p) }}
}

// from lets the Pods of a selector in, to some Pods of the policy's Namespace, and isolates these in both directions.
func from(peers state.Selector, pods ...state.Requirement) state.NetworkPolicy {
	return state.NetworkPolicy{
		Pods: state.Selector{Pods: pods}, Isolates: [state.Directions]bool{true, true},
		Rules: []state.Rule{{Peers: []state.Selector{peers}, AnyPort: true}},
	}
}

// named lets everybody in to a named port.
func named(name string) state.NetworkPolicy {
	return state.NetworkPolicy{
		Isolates: [state.Directions]bool{true, false}, Rules: []state.Rule{{Anybody: true, Ports: []state.PortRange{{Protocol: "tcp", Name: name}}}},
	}
}

// randomPolicyEvents is a life of policies, Pods, their labels and named ports, and the labels of Namespaces.
func randomPolicyEvents(r *rand.Rand) []event {
	label := func(key string) []string { return []string{key + "=" + fmt.Sprint(r.IntN(3))}[:r.IntN(2)] }
	events := []event{putVpc("ovn-cluster"), putSubnet("join", "100.64.0.0/16", 0), putSubnet("s0", "10.0.0.0/16", 1)}
	for range 60 {
		var e event
		namespace, pod := r.IntN(2), r.IntN(4)
		switch r.IntN(10) {
		case 0:
			e = putSubnet("s0", "10.0.0.0/16", 1)
		case 1, 2:
			e = putNamespace(namespace, label("team")...)
		case 3:
			e = putPolicy(namespace, r.IntN(2), named("http"))
		case 4, 5:
			e = putPolicy(namespace, r.IntN(2), from(selectors[r.IntN(len(selectors))], in("app", "0")...))
		case 6, 7:
			e = putLabelled(namespace, pod, append(label("app"), label("port/tcp/http")...)...)
		default:
			e = putPodIP(namespace, pod, 0, 2+r.IntN(3))
		}
		if r.IntN(4) == 0 {
			e = remove(e)
		}
		events = append(events, e)
	}
	return events
}

// TestPolicySequences runs lives with policies in many ways; each must end as a fresh process would have it.
func TestPolicySequences(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	for seed := range uint64(6) {
		inManyWays(t, server, fmt.Sprintf("life %d", seed), randomPolicyEvents(rand.New(rand.NewPCG(seed, 23))))
		if t.Failed() {
			return
		}
	}
}

// TestPodsAreBornIsolated commits as little at a time as can be, and looks after each transaction: whoever a policy chooses has the
// drops of its group, and a policy is never without them.
func TestPodsAreBornIsolated(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	born := 0
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 29))
		g := newRig(t, server)
		g.session.letGo()
		g.drain()
		g.watchBirths(&born)
		births := g.after
		g.after = func() {
			births()
			g.checkIsolated()
		}
		for life := randomPolicyEvents(r); len(life) > 0; {
			n := min(len(life), 1+r.IntN(4))
			g.events(life[:n])
			life = life[n:]
			g.stepwise()
		}
		g.after = nil
		g.converged(fmt.Sprintf("life %d", seed))
		g.session.conn.Close()
	}
	if born < 30 {
		t.Errorf("only %d ports were born", born)
	}
}

// checkIsolated fails when an ACL allows something to ports that nothing else drops.
func (g *rig) checkIsolated() {
	g.t.Helper()
	drops := make(map[string]bool)
	var allowed []string
	for _, o := range g.session.conn.Owners() {
		for _, f := range g.session.conn.Owned(o) {
			acl, ok := g.session.conn.Row(f).(*db.ACL)
			switch {
			case !ok:
			case acl.Action == db.ACLActionDrop:
				drops[acl.Direction+" "+f.Parent().ID] = true
			case o.Kind == state.KindPolicy && !strings.Contains(acl.Match, "tcp.dst"): // a named port's are of a part of the group
				allowed = append(allowed, acl.Direction+" "+f.Parent().ID)
			}
		}
	}
	for _, a := range allowed {
		if !drops[a] {
			g.t.Errorf("%s allows something and drops nothing", a)
		}
	}
}

// TestPolicyWork asserts what each change costs, in one transaction each: owners compiled, transactions, operations.
func TestPolicyWork(t *testing.T) {
	g := newRig(t, ovstest.StartServer(t, ovstest.NorthboundSchema))
	web := in("app", "web")
	g.events([]event{
		putVpc("ovn-cluster"), putSubnet("join", "100.64.0.0/16", 0), putSubnet("s0", "10.0.0.0/16", 1), putNamespace(0, "team=0"), putNamespace(1, "team=1"),
	})
	for i := range 20 {
		g.events([]event{putPodIP(0, i, 0, 2+i), putLabelled(0, i, "app=web"), putPodIP(1, i, 0, 102+i), putLabelled(1, i, "app=client")})
	}
	g.drain()
	peers := state.Selector{Namespaces: in("team", "1")}
	for _, s := range []struct {
		name   string
		events []event
		want   work
	}{
		{"a policy: 2 ACLs; its group with 5 ACLs and a list of all seven, the peers' two sets", []event{putPolicy(0, 0, from(peers, web...))}, work{3, 1, 11}},
		{"another one for the same Pods: 2 ACLs, no drop again", []event{putPolicy(0, 1, from(state.Selector{Namespace: "ns0"}, web...))}, work{2, 1, 5}},
		{"a Pod that it isolates and that is a peer", []event{putPodIP(0, 50, 0, 99), putLabelled(0, 50, "app=web")}, work{3, 1, 4}},
		{"a relabelled Pod is isolated no more", []event{putLabelled(0, 50, "app=x")}, work{2, 1, 1}},
		{"a relabelled Namespace is a peer no more", []event{putNamespace(1, "team=5")}, work{1, 1, 1}},
		{"a policy says something else: two ACLs for two, other peers", []event{putPolicy(0, 1, from(peers, web...))}, work{2, 1, 6}},
		{"one of two goes, the drops stay", []event{remove(putPolicy(0, 1, state.NetworkPolicy{}))}, work{1, 1, 1}},
		{"the last one goes, and all with it", []event{remove(putPolicy(0, 0, state.NetworkPolicy{}))}, work{3, 1, 3}},
		{"a named port that nobody has", []event{putPolicy(0, 2, named("http"))}, work{2, 1, 6}},
		{"a Pod has it", []event{putLabelled(0, 1, "app=web", "port/tcp/http=8080")}, work{3, 1, 3}},
		{"another Pod with the same number", []event{putLabelled(0, 2, "app=web", "port/tcp/http=8080")}, work{2, 1, 1}},
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

// TestManyPoliciesShareTheirGroup shows that the drops do not grow with the policies.
func TestManyPoliciesShareTheirGroup(t *testing.T) {
	g := newRig(t, ovstest.StartServer(t, ovstest.NorthboundSchema))
	g.events([]event{putVpc("ovn-cluster")})
	for i := range 1000 {
		g.events([]event{putPolicy(0, i, from(state.Selector{}))})
	}
	g.drain()
	group := nb.Owner{Kind: state.KindGroup, Key: "ns0:"}
	if n := len(g.session.conn.Owned(group)); n != 6 {
		t.Errorf("the group of 1000 policies has %d rows, want a port group and 5 ACLs", n)
	}
}

// TestHeldPoliciesStayIsolating shows that as long as policies that are not to be found are not removed, their Pods stay isolated as
// they were, also where other policies ask less of the same group, and new Pods join it.
func TestHeldPoliciesStayIsolating(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	ingress := state.NetworkPolicy{Isolates: [state.Directions]bool{true, false}}
	base := []event{putVpc("ovn-cluster"), putSubnet("join", "100.64.0.0/16", 0), putSubnet("s0", "10.0.0.0/16", 1), putPolicy(0, 0, ingress)}
	g := newRig(t, server)
	g.events(base)
	for i := range 150 {
		g.events([]event{putPolicy(0, 1+i, from(state.Selector{}))})
	}
	g.drain()
	g.session.conn.Close()

	fresh := &rig{t: t, server: server, store: state.New(testConfig)} // a controller that sees one policy only
	fresh.events(append(base, putPodIP(0, 5, 0, 25), putLabelled(0, 5)))
	born := 0
	fresh.restart()
	fresh.watchBirths(&born)
	fresh.drain()
	group := nb.Owner{Kind: state.KindGroup, Key: "ns0:"}
	if n := len(fresh.session.conn.Owned(group)); fresh.held.Removals == 0 || n != 6 {
		t.Errorf("%d removals are held, the group has %d rows, want 6", fresh.held.Removals, n)
	}
	fresh.events([]event{putPodIP(0, 6, 0, 26), putLabelled(0, 6)})
	fresh.drain()
	if n := len(fresh.session.conn.Owned(group)); n != 6 {
		t.Errorf("after a Pod has come the group has %d rows, want 6", n)
	}
	fresh.after = nil
	fresh.session.letGo()
	fresh.drain()
	if n := len(fresh.session.conn.Owned(group)); n != 5 {
		t.Errorf("after the release the group has %d rows, want 5", n)
	}
	fresh.converged("after the release")
}
