package announce

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

func addrOf(text string) netip.Addr { return netip.MustParseAddr(text) }

// cluster has nodes n0, n1, … at 192.0.2.10 and up, and 50 addresses of one Service.
func cluster(nodes int) World {
	w := World{
		Pools:    []Pool{{Name: "lan", CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")}}},
		Services: []*Service{{Namespace: "default", Name: "web"}},
	}
	for i := range nodes {
		w.Nodes = append(w.Nodes, Node{Name: fmt.Sprintf("n%d", i), IPs: []netip.Addr{addrOf(fmt.Sprintf("192.0.2.%d", 10+i))}, Ready: true})
	}
	for i := range 50 {
		w.Services[0].Addrs = append(w.Services[0].Addrs, addrOf(fmt.Sprintf("192.0.2.%d", 200+i)))
	}
	return w
}

func owners(w World, dead ...string) map[netip.Addr]string {
	out := map[netip.Addr]string{}
	for addr, candidates := range Candidates(w) {
		out[addr] = owner(addr, candidates, func(n string) bool { return !slices.Contains(dead, n) })
	}
	return out
}

// TestFewCandidates: of many nodes, three answer for a pool, all of the three, and a dead one's addresses alone move.
func TestFewCandidates(t *testing.T) {
	w := cluster(20)
	before := owners(w)
	count := map[string]int{}
	for _, node := range before {
		count[node]++
	}
	if len(count) != mostCandidates || len(before) != 50 {
		t.Fatalf("%d addresses, by node: %v", len(before), count)
	}
	for dead, n := range count {
		moved := 0
		for addr, node := range owners(w, dead) {
			if before[addr] != node {
				moved++
			}
			if node == dead || node == "" {
				t.Errorf("%s is answered for by %q", addr, node)
			}
		}
		if moved != n {
			t.Errorf("without %s, %d addresses move, it had %d", dead, moved, n)
		}
	}
	w.Nodes = slices.DeleteFunc(w.Nodes, func(n Node) bool { return count[n.Name] == 0 })
	for addr, node := range owners(w) {
		if before[addr] != node {
			t.Errorf("%s moves to %s when nodes go that do not answer", addr, node)
		}
	}
}

// TestCandidates: who may answer, in odd worlds too.
func TestCandidates(t *testing.T) {
	vip := addrOf("192.0.2.200")
	for name, c := range map[string]struct {
		change func(w *World)
		want   []string // nil: the address is none of ours
	}{
		"all":          {func(*World) {}, []string{"n0", "n1"}},
		"excluded":     {func(w *World) { w.Nodes[0].Excluded = true }, []string{"n1"}},
		"not ready":    {func(w *World) { w.Nodes[1].Ready = false }, []string{"n0"}},
		"none ready":   {func(w *World) { w.Nodes[0].Ready, w.Nodes[1].Ready = false, false }, []string{"n0", "n1"}},
		"elsewhere":    {func(w *World) { w.Nodes[0].IPs = []netip.Addr{addrOf("198.51.100.1")} }, []string{"n1"}},
		"no node":      {func(w *World) { w.Nodes = nil }, []string{}},
		"local":        {func(w *World) { w.Services[0].Local, w.Services[0].Nodes = true, []string{"n1"} }, []string{"n1"}},
		"local, none":  {func(w *World) { w.Services[0].Local = true }, []string{}},
		"no pool":      {func(w *World) { w.Pools = nil }, nil},
		"not in pool":  {func(w *World) { w.Services[0].Addrs = []netip.Addr{addrOf("203.0.113.1")} }, nil},
		"a node's own": {func(w *World) { w.Nodes[1].IPs = append(w.Nodes[1].IPs, vip) }, nil},
		"family": {func(w *World) {
			w.Services[0].Addrs = append(w.Services[0].Addrs, addrOf("2001:db8::200"))
		}, []string{"n0", "n1"}},
	} {
		w := cluster(2)
		w.Services[0].Addrs = w.Services[0].Addrs[:1]
		c.change(&w)
		got, ours := Candidates(w)[vip]
		slices.Sort(got)
		if ours != (c.want != nil) || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if six := Candidates(w)[addrOf("2001:db8::200")]; len(six) > 0 {
			t.Errorf("%s: %v have no IPv6", name, six)
		}
	}
	w := cluster(2)
	w.Services = append(w.Services, &Service{Name: "thief", Addrs: w.Services[0].Addrs, Local: true})
	if got := Candidates(w)[vip]; len(got) != 2 {
		t.Errorf("an address that two Services have: %v", got)
	}
}
