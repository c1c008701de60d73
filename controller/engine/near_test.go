package engine

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

func putPlace(node, zone string) event {
	return event{"place/" + node, func(s *state.Store) { s.Places.Put(node, &state.Place{Node: node, Zone: zone, Chassis: "c-" + node}) }}
}

var clusterIP = netip.MustParseAddr("10.96.0.7")

// putService says whether clients reach the endpoints of their own node only, or what they prefer.
func putService(name string, local bool, prefer state.Preference) event {
	obj := &state.Service{
		Namespace: "default", Name: name, VIPs: []netip.Addr{clusterIP}, Prefer: prefer,
		Ports: []state.ServicePort{{Protocol: "tcp", Port: 80}, {Name: "dns", Protocol: "udp", Port: 53}},
	}
	if local {
		obj.Local = obj.VIPs
	}
	return event{"service/" + obj.Key(), func(s *state.Store) { s.Services.Put(obj.Key(), obj) }}
}

// putEndpoints has an endpoint on each node named, "n1@a" being the node n1 in the zone a.
func putEndpoints(service string, at ...string) event {
	obj := &state.EndpointSlice{Service: "default/" + service, Ports: []state.ServicePort{{Protocol: "tcp", Port: 8080}, {Name: "dns", Protocol: "udp", Port: 5353}}}
	for i, where := range at {
		node, zone, _ := strings.Cut(where, "@")
		obj.Endpoints = append(obj.Endpoints, state.Endpoint{
			Addr: netip.AddrFrom4([4]byte{10, 66, 0, byte(i + 1)}), Ready: true, Node: node, Zones: []string{zone}, Nodes: []string{node},
		})
	}
	return event{"slice/" + service, func(s *state.Store) { s.EndpointSlices.Put(service, obj) }}
}

// nearLife turns a Service local and back, lets it prefer zones and nodes, takes endpoints and a node away, moves a node to another
// zone, and ends with a Service that is gone.
func nearLife() []event {
	return []event{
		putVpc("ovn-cluster"), putPlace("n1", "a"), putPlace("n2", "b"),
		putService("web", false, state.PreferNone), putEndpoints("web", "n1@a", "n2@b"),
		putService("web", true, state.PreferNone), putEndpoints("web", "n1@a"), putEndpoints("web", "n1@a", "n2@b"),
		putService("web", false, state.PreferNone), putService("web", false, state.PreferZone),
		putPlace("n2", "a"), putPlace("n3", "b"), putPlace("n2", "b"),
		putService("web", true, state.PreferZone), putService("web", false, state.PreferNode),
		remove(putPlace("n3", "b")), putEndpoints("web"), putEndpoints("web", "n2@b"),
		putService("db", true, state.PreferNone), remove(putService("db", true, state.PreferNone)),
		remove(putPlace("n2", "b")), putPlace("n2", ""),
	}
}

// TestNearSequences runs that life, and parts of it in other orders.
func TestNearSequences(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	inManyWays(t, server, "as told", nearLife())
	r := rand.New(rand.NewPCG(7, 7))
	for range 5 {
		life := nearLife()
		r.Shuffle(len(life), func(i, j int) { life[i], life[j] = life[j], life[i] })
		inManyWays(t, server, "shuffled", life[:8+r.IntN(len(life)-8)])
	}
}

// TestNearCost counts whom a change concerns: an endpoint is the Service's alone, a zone that of those who choose by it.
func TestNearCost(t *testing.T) {
	g := newRig(t, ovstest.StartServer(t, ovstest.NorthboundSchema))
	g.events([]event{
		putVpc("ovn-cluster"), putNode(1, 1), putNode(2, 2), putPlace("n1", "a"), putPlace("n2", "b"), putService("local", true, state.PreferNone), putService("zone", false, state.PreferZone),
		putService("plain", false, state.PreferNone), putEndpoints("local", "n1@a", "n2@b"), putEndpoints("zone", "n1@a", "n2@b"), putEndpoints("plain", "n1@a", "n2@b"),
	})
	g.drain()
	for _, c := range []struct {
		what       string
		change     event
		compiled   string
		operations int64
	}{
		{"an endpoint of a local Service", putEndpoints("local", "n2@b"), "service/default/local", 2},
		{"an endpoint of one that prefers its zone", putEndpoints("zone", "n1@a", "n2@b", "n2@b"), "service/default/zone", 2},
		{"another zone", putPlace("n2", "a"), "place/n2 service/default/zone", 3},
		{"an address of a node", putNode(2, 3), "node/n2", 0},
	} {
		before := g.stats().Operations.Load()
		g.results = make(map[nb.Owner]Result)
		g.events([]event{c.change})
		g.drain()
		var compiled []string
		for o := range g.results {
			compiled = append(compiled, o.String())
		}
		slices.Sort(compiled)
		if got := strings.Join(compiled, " "); got != c.compiled {
			t.Errorf("%s: compiled %s, want %s", c.what, got, c.compiled)
		}
		if n := int64(g.stats().Operations.Load() - before); n != c.operations {
			t.Errorf("%s: %d operations, want %d", c.what, n, c.operations)
		}
	}
}
