package engine

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb/db"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

func vipAt(host int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(host)}) }

// putRule makes a rule with an address of Subnet s0, or of none.
func putRule(i, vip, port, age int, checked bool) event {
	name := fmt.Sprintf("r%d", i)
	return event{"slr/" + name, func(s *state.Store) {
		s.SwitchLBRules.Put(name, &state.SwitchLBRule{
			Name: name, UID: "uid-" + name, Vpc: "ovn-cluster", Service: "default/slr-" + name, VIPs: []netip.Addr{vipAt(vip)}, Checked: checked,
			Ports: []state.ServicePort{{Name: "a", Protocol: db.LoadBalancerProtocolTCP, Port: uint16(port)}}, Created: time.Unix(int64(age), 0),
		})
	}}
}

func putRuleService(i int) event {
	name := fmt.Sprintf("r%d", i)
	return event{"ruleservice/default/slr-" + name, func(s *state.Store) {
		s.RuleServices.Put("default/slr-"+name, &state.RuleService{RuleUID: "uid-" + name})
	}}
}

func putSlice(i, host int) event {
	key := fmt.Sprintf("default/slr-r%d", i)
	return event{"slice/" + key, func(s *state.Store) {
		s.EndpointSlices.Put(key, &state.EndpointSlice{
			Service: key, Ports: []state.ServicePort{{Name: "a", Protocol: db.LoadBalancerProtocolTCP, Port: 8080}},
			Endpoints: []state.Endpoint{{Addr: vipAt(host), Ready: true}},
		})
	}}
}

func putClaimant(vip, port, age int) event {
	return event{"service/default/s", func(s *state.Store) {
		s.Services.Put("default/s", &state.Service{
			Namespace: "default", Name: "s", VIPs: []netip.Addr{vipAt(vip)}, Created: time.Unix(int64(age), 0),
			Ports: []state.ServicePort{{Protocol: db.LoadBalancerProtocolTCP, Port: uint16(port)}},
		})
	}}
}

// ruleEvents is a life of a few rules, which contradict each other, a Service and Pods, and of what they need.
func ruleEvents(r *rand.Rand) []event {
	events := []event{putVpc("ovn-cluster"), putSubnet("s0", "10.0.0.0/24", 0)}
	for range 40 {
		var e event
		switch r.IntN(8) {
		case 0:
			e = putSubnet("s0", "10.0.0.0/24", r.IntN(2))
		case 1, 2:
			e = putRule(r.IntN(3), 50+r.IntN(2), 80+r.IntN(2), r.IntN(3), r.IntN(3) > 0)
		case 3:
			e = putRuleService(r.IntN(3))
		case 4:
			e = putSlice(r.IntN(3), 2+r.IntN(3))
		case 5:
			e = putClaimant(50+r.IntN(2), 80+r.IntN(2), r.IntN(3))
		case 6:
			if vip := 50 + r.IntN(2); r.IntN(2) == 0 {
				e = putIP(state.VIPName(vipAt(vip)), "s0", 0, vip)
			} else {
				e = putIP(state.HealthCheckName("s0"), "s0", 0, 9)
			}
		default:
			e = putIP(state.PodPort("default", fmt.Sprintf("p%d", r.IntN(3))), "s0", 0, []int{2, 3, 4, 50}[r.IntN(4)])
		}
		if r.IntN(4) == 0 {
			e = remove(e)
		}
		events = append(events, e)
	}
	return events
}

// TestRuleSequences runs lives of rules in many ways; each must end as a fresh process would have it.
func TestRuleSequences(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	for seed := range 20 {
		inManyWays(t, server, fmt.Sprintf("life %d", seed), ruleEvents(rand.New(rand.NewPCG(uint64(seed), 7))))
		if t.Failed() {
			return
		}
	}
}
