package host

import (
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// simulate does to an Observed what the kernel and OVS do on an operation.
func simulate(have *Observed, op Op) {
	switch o := op.(type) {
	case ensureBridge:
		have.Bridges[o.Bridge.Name] = o.Bridge
		if o.Bridge.Uplink != "" {
			have.Ports[o.Bridge.Uplink] = Port{Bridge: o.Bridge.Name, Name: o.Bridge.Uplink, OFPort: 1}
		}
		have.Links[o.Bridge.Name] = Link{Name: o.Bridge.Name}
	case ensurePort:
		o.Port.OFPort = 1
		have.Ports[o.Port.Name] = o.Port
		have.Links[o.Port.Name] = Link{Name: o.Port.Name}
	case deleteBridge:
		delete(have.Bridges, o.Name)
	case deletePort:
		delete(have.Ports, o.Name)
	case setSysctl:
		have.Sysctls[o.Key] = o.Value
	case editTable:
		simulateTable(have, o)
	case addAddr:
		have.Addrs = append(have.Addrs, o.Addr)
	case delAddr:
		have.Addrs = slices.DeleteFunc(have.Addrs, func(a Addr) bool { return a == o.Addr })
	case addRoute:
		have.Routes = append(have.Routes, o.Route)
	case replaceRoute:
		i := slices.IndexFunc(have.Routes, func(r Route) bool { return r.key() == o.Route.key() })
		have.Routes[i] = o.Route
	case delRoute:
		have.Routes = slices.DeleteFunc(have.Routes, func(r Route) bool { return r == o.Route })
	default:
		simulateLink(have, op)
	}
}

func simulateLink(have *Observed, op Op) {
	edit := func(name string, change func(l *Link)) {
		l := have.Links[name]
		change(&l)
		have.Links[name] = l
	}
	switch o := op.(type) {
	case setMAC:
		edit(o.Link, func(l *Link) { l.MAC = o.MAC })
	case setMTU:
		edit(o.Link, func(l *Link) { l.MTU = o.MTU })
	case setUp:
		edit(o.Link, func(l *Link) { l.Up = true })
	case setOffload:
		edit(o.Link, func(l *Link) {
			if o.Feature == offloadGRO {
				l.GRO = o.Value
			} else {
				l.TxCsum = o.Value
			}
		})
	}
}

func simulateTable(have *Observed, o editTable) {
	t := have.Tables[o.Family]
	if o.Drop {
		delete(have.Tables, o.Family)
	}
	if o.Create != nil {
		t = *o.Create
	}
	t.Sets = slices.DeleteFunc(slices.Concat(t.Sets, o.NewSets), func(s Set) bool { return slices.Contains(o.DelSets, s.Name) })
	t.Chains = slices.DeleteFunc(slices.Concat(t.Chains, o.NewChains), func(c Chain) bool { return slices.Contains(o.DelChains, c.Name) })
	t.sort()
	for i := range t.Sets {
		s := &t.Sets[i]
		if slices.ContainsFunc(o.NewSets, func(n Set) bool { return n.Name == s.Name }) {
			s.Elements = nil // they are in Add
		}
		s.Elements = slices.DeleteFunc(slices.Clone(s.Elements), func(key string) bool {
			return slices.Contains(o.Del, element{s.Name, key})
		})
		for _, e := range o.Add {
			if e.Set == s.Name {
				s.Elements = append(s.Elements, e.Text)
			}
		}
		slices.Sort(s.Elements)
	}
	if !o.Drop || o.Create != nil {
		have.Tables[o.Family] = t
	}
}

// TestPlanConverges goes from any world to any other: the plan's operations leave nothing to plan, and there is none
// between a world and itself.
func TestPlanConverges(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	worlds := make([]Desired, 60)
	for i := range worlds {
		worlds[i] = randomWorld(rnd)
	}
	for _, from := range worlds {
		for _, to := range worlds {
			have := established(from)
			if _, ok := have.Links["eth0"]; !ok {
				have.Links["eth0"] = Link{Name: "eth0"}
			}
			for range 2 { // a link that OVS makes is there for the second pass
				for _, lane := range MakePlan(have, to).Lanes {
					for _, op := range lane {
						simulate(&have, op)
					}
				}
			}
			if p := MakePlan(have, to); !p.Empty() || len(p.Waiting) > 0 {
				t.Fatalf("from\n%s\nto\n%s\nleft: %q, waiting %q", from, to, p.Operations(), p.Waiting)
			}
		}
	}
}

func randomWorld(rnd *rand.Rand) Desired {
	in := randomInput(rnd)
	cfg := Config{NodeName: "n", Datapath: DatapathNetdev, EncapIP: netip.MustParseAddr("192.0.2.1"), MTU: 1400}
	f := Facts{MTU: 1500, Uplink: &Uplink{
		NIC: "eth0", MAC: "02:00:00:00:00:01", Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}, GRO: "on",
		Routes: []Route{{Link: "eth0", Dst: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("192.0.2.254"), Protocol: 16}},
	}}
	switch rnd.IntN(4) {
	case 0:
		cfg.Datapath = DatapathKernel
		return Compile(cfg, &in, f)
	case 1:
		f.Moved = true
		return CompileTeardown(f)
	}
	return Compile(cfg, &in, f)
}

// TestPlan takes a node that has all it should have, changes one thing, and names the operations.
func TestPlan(t *testing.T) {
	file := func(name string) Desired { return readFile(t, name).compile() }
	overlay := netip.MustParsePrefix("10.16.0.0/16")
	for _, c := range []struct {
		name, world string
		change      func(*Observed)
		want        []string
		wait        string
		problem     string
	}{
		{
			"a foreign route holds a Subnet", "ipv4", func(o *Observed) {
				i := slices.IndexFunc(o.Routes, func(r Route) bool { return r.Dst == overlay })
				o.Routes[i] = Route{Link: "", Dst: overlay, Protocol: 4}
			},
			nil, "", "route 10.16.0.0/16: another one is not ours and stays",
		},
		{
			"a route of ours is changed", "ipv4", func(o *Observed) {
				i := slices.IndexFunc(o.Routes, func(r Route) bool { return r.Dst == overlay })
				o.Routes[i].Gateway = netip.MustParseAddr("100.64.0.7")
			},
			[]string{"route replace 10.16.0.0/16 via 100.64.0.1 dev ovn0 src 100.64.0.2 proto 72"},
			"", "",
		},
		{
			"a route of ours is left from another time", "ipv4", func(o *Observed) {
				o.Routes = append(o.Routes, Route{Link: "ovn0", Dst: netip.MustParsePrefix("10.99.0.0/16"), Protocol: RouteProtocol})
			},
			[]string{"route delete 10.99.0.0/16 dev ovn0 proto 72"},
			"", "",
		},
		{
			"a foreign route and a foreign address elsewhere", "ipv4", func(o *Observed) {
				o.Routes = append(o.Routes, Route{Link: "ovn0", Dst: netip.MustParsePrefix("10.99.0.0/16"), Protocol: 4})
				o.Addrs = append(o.Addrs, Addr{Link: "eth0", Prefix: netip.MustParsePrefix("192.0.2.1/24")})
			},
			nil, "", "",
		},
		{
			"ovn0 is gone", "ipv4", func(o *Observed) {
				delete(o.Links, "ovn0")
				delete(o.Ports, "ovn0")
				o.Addrs, o.Routes = nil, nil
			},
			[]string{"ovs port ovn0 on br-int type=internal mac=0a:58:64:40:00:02 mtu=1400 heddle-owner=host iface-id=node-heddle-1"},
			"link ovn0 is not there", "",
		},
		{
			"OVS is out of reach and a route is missing", "ipv4", func(o *Observed) {
				o.OVS, o.Bridges, o.Ports = errors.New("no"), nil, nil
				o.Routes = slices.DeleteFunc(o.Routes, func(r Route) bool { return r.Dst == overlay })
			},
			[]string{"route add 10.16.0.0/16 via 100.64.0.1 dev ovn0 src 100.64.0.2 proto 72"},
			"", "",
		},
		{
			"ovs-vswitchd could not open the NIC", "netdev-no-input", func(o *Observed) {
				o.Ports["eth0"] = Port{Bridge: "br-phy", Name: "eth0", OFPort: -1}
				o.Addrs = []Addr{{Link: "eth0", Prefix: netip.MustParsePrefix("192.0.2.1/24")}}
				delete(o.Tables, "netdev")
			},
			nil, "ovs-vswitchd has not opened eth0", "",
		},
		{
			"nothing there is ours", "teardown", func(o *Observed) {
				o.Bridges["br-int"], o.Bridges["br-phy"] = Bridge{Name: "br-int"}, Bridge{Name: "br-phy"}
				o.Ports["ovn0"] = Port{Bridge: "br-int", Name: "ovn0"}
			},
			nil, "", "",
		},
		{
			"router advertisements were refused", "dual", func(o *Observed) { o.Sysctls["net/ipv6/conf/eth0/accept_ra"] = "0" },
			nil, "", "",
		},
		{
			"a host that learns its routes", "dual", func(o *Observed) {
				o.Sysctls["net/ipv6/conf/eth0/accept_ra"], o.Sysctls["net/ipv6/conf/all/forwarding"] = "1", "0"
			},
			[]string{"sysctl net/ipv6/conf/eth0/accept_ra=2", "sysctl net/ipv6/conf/all/forwarding=1"},
			"", "",
		},
		{
			"a router that ignores router advertisements", "dual", func(o *Observed) { o.Sysctls["net/ipv6/conf/eth0/accept_ra"] = "1" },
			nil, "", "",
		},
		{
			"no IPv6 in the kernel", "dual", func(o *Observed) {
				maps.DeleteFunc(o.Sysctls, func(k, _ string) bool { return strings.Contains(k, "ipv6") })
			},
			nil, "", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := file(c.world)
			have := established(want)
			c.change(&have)
			p := MakePlan(have, want)
			if !slices.Equal(p.Operations(), c.want) {
				t.Errorf("operations %q, want %q", p.Operations(), c.want)
			}
			if got := strings.Join(p.Waiting, "; "); got != c.wait {
				t.Errorf("waits for %q, want %q", got, c.wait)
			}
			if got := strings.Join(p.Problems, "; "); got != c.problem {
				t.Errorf("problem %q, want %q", got, c.problem)
			}
		})
	}
}
