package compile

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// service wants one load balancer for each protocol of the Service, in the group that all switches of the VPC use. What a VIP
// leads to is chosen where the packet starts. A VIP without endpoints refuses connections at once. Where nodes differ in the
// endpoints that they use, there are more load balancers (near.go).
func service(v *state.View, key string, out *Output) {
	obj := v.Service(key)
	if obj == nil {
		return
	}
	if obj.Distribution != "" {
		out.Problem(ReasonInvalid, "spec.trafficDistribution %q is unknown; the Service is served without it", obj.Distribution)
	}
	n := newNear(v, obj, out)
	list := v.EndpointSlicesOf(key)
	for _, protocol := range []string{db.LoadBalancerProtocolTCP, db.LoadBalancerProtocolUDP, db.LoadBalancerProtocolSCTP} {
		f := frontendsOf(obj, list, protocol, n, taken(v, obj, protocol, out))
		balancer := func(id string, vips, more map[string]string) {
			if len(vips) == 0 {
				return
			}
			options := loadBalancerOptions(protocol)
			maps.Copy(options, more)
			out.Row(nb.Row{
				ID:    id,
				Model: &db.LoadBalancer{Name: id, Protocol: &protocol, Vips: vips, Options: options, SelectionFields: selectionFields(obj)},
				In:    []nb.Edge{{Parent: balancers(v.Config().DefaultVpc), Column: "load_balancer"}},
			})
		}
		balancer(key+":"+protocol, f.alike, nil)
		balancer(key+":"+protocol+":ipv4", f.near4, templateOptions("ipv4"))
		balancer(key+":"+protocol+":ipv6", f.near6, templateOptions("ipv6"))
	}
	n.elsewhere(out)
}

// loadBalancerOptions (ovn-nb(5), Load_Balancer options): a UDP flow to an endpoint that is gone has to be cut, or its client
// would go on sending there; a TCP connection to an endpoint that is about to end lives on.
func loadBalancerOptions(protocol string) map[string]string {
	options := map[string]string{"reject": "true"}
	if protocol == db.LoadBalancerProtocolUDP {
		options["ct_flush"] = "true"
	}
	return options
}

// selectionFields are what chooses the endpoint of a new connection (ovn-nb(5), Load_Balancer selection_fields): the client's port, or its
// address where the Service wants affinity. Never none: the datapath would then hash, and hand the packet back to the group of endpoints
// by number; when the endpoints have changed meanwhile, there is no such group, and the packet is lost
// (docs/decisions/0009-flows-change-under-load.md).
//
// The option affinity_timeout would forget a client after a time, but OVN drops the packet by which it learns one (ovn-northd(8), "LB
// affinity learn"), and with it a client's first connection (docs/decisions/0011-affinity.md).
func selectionFields(obj *state.Service) []db.LoadBalancerSelectionFields {
	if !obj.Affinity {
		return []db.LoadBalancerSelectionFields{db.LoadBalancerSelectionFieldsTpSrc}
	}
	var fields []db.LoadBalancerSelectionFields
	if slices.ContainsFunc(obj.VIPs, netip.Addr.Is4) {
		fields = append(fields, db.LoadBalancerSelectionFieldsIPSrc)
	}
	if slices.ContainsFunc(obj.VIPs, netip.Addr.Is6) {
		fields = append(fields, db.LoadBalancerSelectionFieldsIpv6Src)
	}
	return fields
}

// frontends are the VIPs of one protocol with what they lead to.
type frontends struct {
	alike map[string]string // the same on all nodes
	// near4 and near6 have variables for VIPs (place.go), so that each node sees its own.
	near4, near6 map[string]string
}

// frontendsOf maps each address and port of the Service to its endpoints of the same family, but for those that are taken.
func frontendsOf(obj *state.Service, list []*state.EndpointSlice, protocol string, n *near, taken map[netip.AddrPort]bool) frontends {
	f := frontends{map[string]string{}, map[string]string{}, map[string]string{}}
	for _, port := range obj.Ports {
		if port.Protocol != protocol {
			continue
		}
		v4, v6 := candidates(list, port, netip.Addr.Is4), candidates(list, port, netip.Addr.Is6)
		for _, vip := range obj.VIPs {
			at := netip.AddrPortFrom(vip, port.Port)
			if taken[at] {
				continue
			}
			to, nears := v6, f.near6
			if vip.Is4() {
				to, nears = v4, f.near4
			}
			if variants, differ := n.variants(vip, to); differ {
				for variable, endpoints := range variants {
					nears[reference(variable)+":"+strconv.Itoa(int(port.Port))] = endpoints
				}
				continue
			}
			f.alike[at.String()] = choose(to, anywhere)
		}
	}
	return f
}

// candidate is an endpoint with the port.
type candidate struct {
	at string
	state.Endpoint
}

// candidates lists the endpoints of one port and family.
func candidates(list []*state.EndpointSlice, port state.ServicePort, family func(netip.Addr) bool) []candidate {
	var out []candidate
	for _, slice := range list {
		number, ok := portIn(slice, port)
		if !ok {
			continue
		}
		for _, e := range slice.Endpoints {
			if family(e.Addr) && (e.Ready || e.Serving) {
				out = append(out, candidate{netip.AddrPortFrom(e.Addr, number).String(), e})
			}
		}
	}
	return out
}

// choose joins those that fit: the ones that are ready or, while there is none, those that still serve although they are about
// to end.
func choose(list []candidate, fits func(candidate) bool) string {
	var ready, serving []string
	for _, c := range list {
		switch {
		case !fits(c):
		case c.Ready:
			ready = append(ready, c.at)
		default:
			serving = append(serving, c.at)
		}
	}
	if len(ready) == 0 {
		ready = serving
	}
	slices.Sort(ready) // an endpoint may be in two slices for a moment
	return strings.Join(slices.Compact(ready), ",")
}

func anywhere(candidate) bool { return true }

func portIn(slice *state.EndpointSlice, port state.ServicePort) (uint16, bool) {
	for _, p := range slice.Ports {
		if p.Name == port.Name && p.Protocol == port.Protocol {
			return p.Port, true
		}
	}
	return 0, false
}
