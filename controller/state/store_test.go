package state_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
)

func newStore() *state.Store {
	s := state.New(state.Config{DefaultVpc: "ovn-cluster", JoinSubnet: "join"})
	s.TakeAll() // the mirror of the nodes is there from the start
	<-s.Dirty()
	return s
}

func owner(text string) nb.Owner {
	o, ok := nb.ParseOwner(text)
	if !ok {
		panic(text)
	}
	return o
}

// take empties the fast lane and the bulk lane and prints what waited: one line for each change, in order.
func take(s *state.Store) string {
	var lines []string
	for {
		owners, _ := s.Take(1)
		if len(owners) == 0 {
			return strings.Join(lines, "\n")
		}
		var names []string
		for _, o := range owners {
			names = append(names, o.String())
		}
		lines = append(lines, strings.Join(names, " "))
	}
}

func expect(t *testing.T, s *state.Store, what, want string) {
	t.Helper()
	if got := take(s); got != want {
		t.Errorf("%s: dirty are\n%s\nwant\n%s", what, got, want)
	}
}

// reads lets an owner read, as its compiler would.
func reads(s *state.Store, name string, f func(*state.View)) { s.Compile(owner(name), f) }

func subnet(name, vpc string) *state.Subnet { return &state.Subnet{Name: name, Vpc: vpc} }

// TestReadersOfAKey shows that a change makes dirty its own owner and exactly those that read it.
func TestReadersOfAKey(t *testing.T) {
	s := newStore()
	s.IPs.Put("web.blue", &state.IP{Name: "web.blue", MAC: "1"})
	reads(s, "pod/blue/web", func(v *state.View) { v.IP("web.blue"); v.IP("web.blue") })
	reads(s, "pod/blue/db", func(v *state.View) { v.IP("db.blue") }) // not there: that counts too
	take(s)
	steps := []struct {
		what string
		do   func()
		want string
	}{
		{"another MAC", func() { s.IPs.Put("web.blue", &state.IP{Name: "web.blue", MAC: "2"}) }, "pod/blue/web"},
		{"one that nobody reads", func() { s.IPs.Put("x", &state.IP{Name: "x"}) }, ""},
		{"one that was not there when it was read", func() { s.IPs.Put("db.blue", &state.IP{Name: "db.blue"}) }, "pod/blue/db"},
		{"it goes", func() { s.IPs.Delete("db.blue") }, "pod/blue/db"},
		{"it is gone already", func() { s.IPs.Delete("db.blue") }, ""},
		{"a key of another table", func() { s.Vpcs.Put("web.blue", &state.Vpc{Name: "web.blue"}) }, "vpc/web.blue"},
		{"an object is its owner's, read or not", func() { s.Pods.Put("blue/db", &state.Pod{Name: "db"}) }, "pod/blue/db"},
	}
	for _, step := range steps {
		step.do()
		expect(t, s, step.what, step.want)
	}
}

// TestReadsAreForgotten shows that only the last compilation counts, also when several owners read the same.
func TestReadsAreForgotten(t *testing.T) {
	s := newStore()
	readX := func(v *state.View) { v.Subnet("x") }
	readNone := func(*state.View) {}
	for _, o := range []string{"pod/a/1", "pod/a/2", "pod/a/3"} {
		reads(s, o, readX)
	}
	s.Subnets.Put("x", subnet("x", "v"))
	expect(t, s, "three readers", "pod/a/1 pod/a/2 pod/a/3 subnet/x")
	reads(s, "pod/a/1", readNone)
	s.Subnets.Put("x", subnet("x", "w"))
	expect(t, s, "the first has stopped", "pod/a/2 pod/a/3 subnet/x")
	reads(s, "pod/a/1", readX)
	reads(s, "pod/a/3", func(v *state.View) { v.Subnet("y") })
	s.Subnets.Delete("x")
	expect(t, s, "the first is back, the third reads another", "pod/a/1 pod/a/2 subnet/x")
	reads(s, "pod/a/1", readNone)
	reads(s, "pod/a/2", readNone)
	s.Subnets.Put("x", subnet("x", "v"))
	expect(t, s, "nobody reads it", "subnet/x")
	s.Subnets.Put("y", subnet("y", "v"))
	expect(t, s, "the other one", "pod/a/3 subnet/y")
}

// TestReadersOfAnIndex shows that who lists the objects with a value learns of those that come, change, leave and go.
func TestReadersOfAnIndex(t *testing.T) {
	s := newStore()
	s.Subnets.Put("a", subnet("a", "red"))
	s.Subnets.Put("b", subnet("b", "blue"))
	var red []string
	listRed := func(v *state.View) {
		red = nil
		for _, o := range v.SubnetsOf("red") {
			red = append(red, o.Name)
		}
	}
	reads(s, "vpc/red", listRed)
	reads(s, "vpc/blue", func(v *state.View) { v.SubnetsOf("blue") })
	reads(s, "vpc/none", func(v *state.View) { v.SubnetsOf("none") })
	take(s)
	steps := []struct {
		what      string
		do        func()
		want, red string
	}{
		{"one of the value changes", func() {
			o := subnet("a", "red")
			o.Invalid = "now"
			s.Subnets.Put("a", o)
		}, "subnet/a vpc/red", "a"},
		{"one leaves it for another", func() { s.Subnets.Put("a", subnet("a", "blue")) }, "subnet/a vpc/blue vpc/red", ""},
		{"and comes back", func() { s.Subnets.Put("a", subnet("a", "red")) }, "subnet/a vpc/blue vpc/red", "a"},
		{"one is new", func() { s.Subnets.Put("c", subnet("c", "red")) }, "subnet/c vpc/red", "a c"},
		{"one takes a value that was empty", func() { s.Subnets.Put("b", subnet("b", "none")) }, "subnet/b vpc/blue vpc/none", "a c"},
		{"one goes", func() { s.Subnets.Delete("a") }, "subnet/a vpc/red", "c"},
		{"the last one goes", func() { s.Subnets.Delete("c") }, "subnet/c vpc/red", ""},
		{"one of a value that nobody lists", func() { s.Subnets.Put("d", subnet("d", "green")) }, "subnet/d", ""},
	}
	for _, step := range steps {
		step.do()
		expect(t, s, step.what, step.want)
		if s.Inspect(listRed); strings.Join(red, " ") != step.red {
			t.Errorf("%s: the index has %v, want %s", step.what, red, step.red)
		}
	}
}

// TestNodesAreListed shows that the list of all Nodes is in order and counts as one read.
func TestNodesAreListed(t *testing.T) {
	s := newStore()
	for _, name := range []string{"n2", "n10", "n1"} {
		s.Nodes.Put(name, &state.Node{Name: name})
	}
	var names []string
	reads(s, "subnet/a", func(v *state.View) {
		for _, n := range v.Nodes() {
			names = append(names, n.Name)
		}
	})
	if strings.Join(names, " ") != "n1 n10 n2" {
		t.Errorf("nodes: %v", names)
	}
	take(s)
	s.Nodes.Put("n3", &state.Node{Name: "n3"})
	expect(t, s, "a new Node", "node/n3 subnet/a")
}

// TestEqualIsNoChange puts an equal copy, and then each object with one field changed: every field counts.
func TestEqualIsNoChange(t *testing.T) {
	s := newStore()
	cidr, gateway := netip.MustParsePrefix("10.66.0.0/24"), netip.MustParseAddr("10.66.0.1")
	age := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	subnet := func() *state.Subnet {
		return &state.Subnet{
			Name: "x", Vpc: "v", Provider: "ovn", CIDRs: []netip.Prefix{cidr}, Gateways: []netip.Addr{gateway}, Created: age,
			Unsupported: []string{"vlan"}, Invalid: "why",
		}
	}
	sameTime := subnet()
	sameTime.Created = age.In(time.FixedZone("CET", 3600))
	vpc := func() *state.Vpc { return &state.Vpc{Name: "x", Unsupported: []string{"bfd"}} }
	node := func() *state.Node { return &state.Node{Name: "x", InternalIPs: []netip.Addr{gateway}} }
	pod := func() *state.Pod { return &state.Pod{Namespace: "ns", Name: "x", UID: "u", Node: "n"} }
	ip := func() *state.IP { return &state.IP{Name: "x", Subnet: "s", MAC: "m", IPs: []netip.Addr{gateway}} }

	checkFields(t, s, s.Vpcs, vpc, func(o *state.Vpc) { o.Name = "y" }, func(o *state.Vpc) { o.Unsupported = nil })
	checkFields(t, s, s.Nodes, node, func(o *state.Node) { o.Name = "y" }, func(o *state.Node) { o.InternalIPs = nil })
	checkFields(t, s, s.Pods, pod, func(o *state.Pod) { o.Name = "y" }, func(o *state.Pod) { o.Namespace = "y" },
		func(o *state.Pod) { o.UID = "y" }, func(o *state.Pod) { o.Node = "y" })
	checkFields(t, s, s.Subnets, subnet, func(o *state.Subnet) { o.Name = "y" }, func(o *state.Subnet) { o.Vpc = "y" }, func(o *state.Subnet) { o.Provider = "y" },
		func(o *state.Subnet) { o.CIDRs = nil }, func(o *state.Subnet) { o.Gateways = nil }, func(o *state.Subnet) { o.Created = age.Add(1) },
		func(o *state.Subnet) { o.Unsupported = nil }, func(o *state.Subnet) { o.Invalid = "" }, func(o *state.Subnet) { o.Accepted = true })
	reads(s, "pod/reader", func(v *state.View) { v.IP("x") })
	checkFields(t, s, s.IPs, ip, func(o *state.IP) { o.Name = "y" }, func(o *state.IP) { o.Subnet = "y" }, func(o *state.IP) { o.MAC = "y" }, func(o *state.IP) { o.IPs = nil })

	s.Subnets.Put("x", subnet())
	take(s)
	s.Subnets.Put("x", sameTime)
	expect(t, s, "the same time in another zone", "")
}

// checkFields fails unless a copy is no change and each of the changes is one.
func checkFields[T any](t *testing.T, s *state.Store, table *state.Table[T], fresh func() *T, changes ...func(*T)) {
	t.Helper()
	for i, change := range changes {
		table.Put("x", fresh())
		take(s)
		if table.Put("x", fresh()); take(s) != "" {
			t.Errorf("%T: an equal object is a change", *fresh())
		}
		o := fresh()
		change(o)
		if table.Put("x", o); take(s) == "" {
			t.Errorf("%T: change %d is none", *o, i)
		}
	}
}

func TestOlder(t *testing.T) {
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	order := []*state.Subnet{ // each one keeps what it and a later one claim
		{Name: "z", Accepted: true, Created: early},
		{Name: "a", Accepted: true, Created: late},
		{Name: "b", Created: early},
		{Name: "c", Created: early},
		{Name: "a", Created: late},
	}
	for i, a := range order {
		for j, b := range order {
			if a.Older(b) != (i < j) {
				t.Errorf("%d is older than %d: %t", i, j, a.Older(b))
			}
		}
	}
}

func TestOwners(t *testing.T) {
	s := newStore()
	s.Vpcs.Put("v", &state.Vpc{})
	s.Subnets.Put("s", &state.Subnet{})
	s.Nodes.Put("n", &state.Node{})
	s.Pods.Put("ns/p", &state.Pod{})
	s.IPs.Put("i", &state.IP{})
	if got := fmt.Sprint(s.Owners()); got != "[vpc/v subnet/s node/n mirror/node/mirror0 pod/ns/p]" {
		t.Errorf("owners: %s", got)
	}
}

// TestInspectRecordsNothing shows that who only looks is not made dirty, and does not stand in for anybody.
func TestInspectRecordsNothing(t *testing.T) {
	s := newStore()
	s.Inspect(func(v *state.View) { v.IP("x"); v.SubnetsOf("v"); v.Nodes() })
	s.IPs.Get("x")
	s.IPs.Put("x", &state.IP{Name: "x"})
	s.Nodes.Put("n", &state.Node{Name: "n"})
	expect(t, s, "after a look", "node/n")
}

func TestNames(t *testing.T) {
	pod, node := &state.Pod{Namespace: "blue", Name: "web-0"}, &state.Node{Name: "n1"}
	ip := &state.IP{MAC: "m", IPs: []netip.Addr{netip.MustParseAddr("10.66.0.7"), netip.MustParseAddr("fd00::7")}}
	got := []string{pod.Key(), pod.Port(), node.Port(), ip.Addresses()}
	if want := []string{"blue/web-0", "web-0.blue", "node-n1", "m 10.66.0.7 fd00::7"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
