package compile

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// service wants one load balancer for each protocol of the Service, in the group that all switches of the VPC use. What a VIP
// leads to is chosen where the packet starts. A VIP without endpoints refuses connections at once.
func service(v *state.View, key string, out *Output) {
	obj := v.Service(key)
	if obj == nil {
		return
	}
	for _, field := range obj.Unsupported {
		out.Problem(ReasonNotSupported, "spec.%s is not supported yet; the Service is served without it", field)
	}
	list := v.EndpointSlicesOf(key)
	for _, protocol := range []string{db.LoadBalancerProtocolTCP, db.LoadBalancerProtocolUDP, db.LoadBalancerProtocolSCTP} {
		vips := vipsOf(obj, list, protocol)
		if len(vips) == 0 {
			continue
		}
		out.Row(nb.Row{
			ID: key + ":" + protocol,
			Model: &db.LoadBalancer{
				Name: key + ":" + protocol, Protocol: &protocol, Vips: vips, Options: loadBalancerOptions(protocol),
				SelectionFields: selectionFields(obj),
			},
			In: []nb.Edge{{Parent: balancers(v.Config().DefaultVpc), Column: "load_balancer"}},
		})
	}
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

// selectionFields are what chooses the endpoint of a new connection (ovn-nb(5), Load_Balancer selection_fields): the client's address and
// port, or the address alone where the Service wants affinity. Never none: the datapath would then hash, and hand the packet back to the
// group of endpoints by number; when the endpoints have changed meanwhile, there is no such group, and the packet is lost
// (docs/decisions/0009-flows-change-under-load.md).
//
// The option affinity_timeout would forget a client after a time, but OVN drops the packet by which it learns one (ovn-northd(8), "LB
// affinity learn"): a client's first connection then hangs for a second at best, and for good with the user-space datapath, whose
// connection tracking translates what is sent again before it is looked up.
func selectionFields(obj *state.Service) []db.LoadBalancerSelectionFields {
	var fields []db.LoadBalancerSelectionFields
	if slices.ContainsFunc(obj.VIPs, netip.Addr.Is4) {
		fields = append(fields, db.LoadBalancerSelectionFieldsIPSrc)
	}
	if slices.ContainsFunc(obj.VIPs, netip.Addr.Is6) {
		fields = append(fields, db.LoadBalancerSelectionFieldsIpv6Src)
	}
	if !obj.Affinity {
		fields = append(fields, db.LoadBalancerSelectionFieldsTpSrc)
	}
	return fields
}

// vipsOf maps each address and port of the Service to its endpoints of the same family.
func vipsOf(obj *state.Service, list []*state.EndpointSlice, protocol string) map[string]string {
	vips := make(map[string]string)
	for _, port := range obj.Ports {
		if port.Protocol != protocol {
			continue
		}
		v4, v6 := backends(list, port, netip.Addr.Is4), backends(list, port, netip.Addr.Is6)
		for _, vip := range obj.VIPs {
			to := v6
			if vip.Is4() {
				to = v4
			}
			vips[netip.AddrPortFrom(vip, port.Port).String()] = to
		}
	}
	return vips
}

// backends lists the endpoints of one port and family: those that are ready or, while there is none, those that still serve
// although they are about to end.
func backends(list []*state.EndpointSlice, port state.ServicePort, family func(netip.Addr) bool) string {
	var ready, serving []string
	for _, slice := range list {
		number, ok := portIn(slice, port)
		if !ok {
			continue
		}
		for _, e := range slice.Endpoints {
			switch text := netip.AddrPortFrom(e.Addr, number).String(); {
			case !family(e.Addr):
			case e.Ready:
				ready = append(ready, text)
			case e.Serving:
				serving = append(serving, text)
			}
		}
	}
	if len(ready) == 0 {
		ready = serving
	}
	slices.Sort(ready) // an endpoint may be in two slices for a moment
	return strings.Join(slices.Compact(ready), ",")
}

func portIn(slice *state.EndpointSlice, port state.ServicePort) (uint16, bool) {
	for _, p := range slice.Ports {
		if p.Name == port.Name && p.Protocol == port.Protocol {
			return p.Port, true
		}
	}
	return 0, false
}
