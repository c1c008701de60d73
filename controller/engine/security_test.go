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

// putSecurityGroup makes a group that lets in everybody, in each family, by each of some ports.
func putSecurityGroup(i, tier int, together bool, ports ...uint16) event {
	g := &state.SecurityGroup{Name: fmt.Sprintf("g%d", i), Tier: tier, Together: together}
	for _, port := range ports {
		g.Rules = append(g.Rules, state.SecurityRule{
			Priority: 1, Remote: netip.MustParsePrefix("0.0.0.0/0"), Protocol: "tcp", Ports: state.PortSpan{First: port, Last: port},
		})
	}
	return event{"sg/" + g.Name, func(s *state.Store) { s.SecurityGroups.Put(g.Name, g) }}
}

// bound is a label of a Pod in a group.
func bound(i int) string { return state.SecurityGroupLabel(fmt.Sprintf("g%d", i)) + "=" }

func putPrivate(allow ...string) event {
	e := putSubnet("s0", "10.0.0.0/16", 1)
	return event{e.key, func(s *state.Store) {
		e.apply(s)
		private := *s.Subnets.Get("s0")
		private.Security.Private = true
		for _, text := range allow {
			private.Security.AllowFrom = append(private.Security.AllowFrom, netip.MustParsePrefix(text))
		}
		s.Subnets.Put("s0", &private)
	}}
}

// randomSecurityEvents is a life of security groups, Pods that join and leave them, and a Subnet that is private at times.
func randomSecurityEvents(r *rand.Rand) []event {
	events := []event{putVpc("ovn-cluster"), putSubnet("join", "100.64.0.0/16", 0), putSubnet("s0", "10.0.0.0/16", 1)}
	for range 60 {
		var e event
		namespace, pod := r.IntN(2), r.IntN(4)
		switch r.IntN(8) {
		case 0:
			e = putPrivate([]string{"10.1.0.0/16", "10.2.0.0/16"}[:r.IntN(3)]...)
		case 1:
			e = putSubnet("s0", "10.0.0.0/16", 1)
		case 2, 3:
			e = putSecurityGroup(r.IntN(3), 0, r.IntN(2) == 0, []uint16{80, 81}[:r.IntN(3)]...)
		case 4, 5:
			e = putLabelled(namespace, pod, []string{bound(r.IntN(3)), bound(r.IntN(3))}[:r.IntN(3)]...)
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

// TestSecuritySequences runs lives with security groups in many ways; each must end as a fresh process would have it.
func TestSecuritySequences(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	for seed := range uint64(4) {
		inManyWays(t, server, fmt.Sprintf("life %d", seed), randomSecurityEvents(rand.New(rand.NewPCG(seed, 31))))
		if t.Failed() {
			return
		}
	}
}

// TestPodsAreBornSecured commits as little at a time as can be, and looks after each transaction: a port that comes is in the port
// groups of its Pod's security groups, and these drop.
func TestPodsAreBornSecured(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	born, secured := 0, 0
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 37))
		g := newRig(t, server)
		g.session.letGo()
		g.drain()
		g.watchBirths(&born)
		births, before := g.after, g.portUUIDs()
		g.after = func() {
			births()
			now := g.portUUIDs()
			for uuid, port := range now {
				if before[uuid] == "" {
					secured += g.checkSecured(uuid, port)
				}
			}
			before = now
		}
		for life := randomSecurityEvents(r); len(life) > 0; {
			n := min(len(life), 1+r.IntN(4))
			g.events(life[:n])
			life = life[n:]
			g.stepwise()
		}
		g.after = nil
		g.converged(fmt.Sprintf("life %d", seed))
		g.session.conn.Close()
	}
	if born < 20 || secured < 10 {
		t.Errorf("only %d ports were born, into %d groups", born, secured)
	}
}

// checkSecured returns the number of security groups of the Pod with that port.
func (g *rig) checkSecured(uuid, port string) (groups int) {
	g.t.Helper()
	name, namespace, _ := strings.Cut(port, ".")
	for _, group := range g.store.Pods.Get(namespace + "/" + name).SecurityGroups() {
		groups++
		var set string
		g.store.Inspect(func(v *state.View) { set = v.Group(state.SecurityGroupPods(group), state.Ports) })
		f, ok := g.session.conn.Find(nb.Ref{Table: db.PortGroupTable, ID: set})
		if !ok || !slices.Contains(g.session.conn.Row(f).(*db.PortGroup).Ports, uuid) {
			g.t.Errorf("%s came without its security group %s", port, group)
		}
		if n := g.dropsOf(set); n < 2 {
			g.t.Errorf("%s came into a group that drops in %d directions", port, n)
		}
	}
	return groups
}

func (g *rig) dropsOf(set string) int {
	directions := make(map[string]bool)
	for _, o := range g.session.conn.Owners() {
		for _, f := range g.session.conn.Owned(o) {
			if acl, ok := g.session.conn.Row(f).(*db.ACL); ok && acl.Action == db.ACLActionDrop && f.Parent().ID == set {
				directions[acl.Direction] = true
			}
		}
	}
	return len(directions)
}

// TestSecurityWork asserts what each change costs, in one transaction each: owners compiled, transactions, operations.
func TestSecurityWork(t *testing.T) {
	g := newRig(t, ovstest.StartServer(t, ovstest.NorthboundSchema))
	g.events([]event{putVpc("ovn-cluster"), putSubnet("join", "100.64.0.0/16", 0), putSubnet("s0", "10.0.0.0/16", 1)})
	for i := range 20 {
		g.events([]event{putPodIP(0, i, 0, 2+i), putLabelled(0, i)})
	}
	g.drain()
	for _, s := range []struct {
		name   string
		events []event
		want   work
	}{
		{"a group with a rule, and nobody in it", []event{putSecurityGroup(0, 0, true, 80)}, work{2, 1, 9}},
		{"the first Pod: ACLs of its group that deny, and members of two sets", []event{putLabelled(0, 0, bound(0))}, work{2, 1, 10}},
		{"the second one: members of two sets, no ACL", []event{putLabelled(0, 1, bound(0))}, work{2, 1, 2}},
		{"another rule: an ACL, and where it is listed", []event{putSecurityGroup(0, 0, true, 80, 81)}, work{1, 1, 2}},
		{"a Pod with a group that is not there", []event{putLabelled(0, 2, bound(1))}, work{2, 1, 9}},
		{"the group of two Pods goes", []event{remove(putSecurityGroup(0, 0, true))}, work{4, 1, 3}},
		{"one of them leaves", []event{putLabelled(0, 1)}, work{2, 1, 1}},
		{"the last one leaves, and all goes", []event{putLabelled(0, 0)}, work{2, 1, 1}},
		{"a Subnet becomes private", []event{putPrivate()}, work{2, 1, 5}},
		{"and lets somebody in", []event{putPrivate("10.1.0.0/16")}, work{2, 1, 3}},
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
