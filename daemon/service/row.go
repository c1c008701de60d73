package service

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/heddle-net/heddle/daemon/host"
)

// place is what a row depends on besides its objects.
type place struct {
	node, zone string
	inside     []netip.Prefix // the overlay's Subnets, whose addresses OVN reaches for the node
}

// rowOf says what the node has to do for a Service; nil when that is nothing.
func (p place) rowOf(s *corev1.Service, list []*discoveryv1.EndpointSlice) *host.Service {
	vips := ClusterIPs(s)
	if len(vips) == 0 {
		return nil
	}
	row := &host.Service{
		Name: s.Namespace + "/" + s.Name, ExternalIPs: addrs(s.Spec.ExternalIPs), Affinity: affinityOf(&s.Spec),
		Local: s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer {
		row.Ingress, row.SourceRanges = ingressOf(s), prefixesOf(s.Spec.LoadBalancerSourceRanges)
	}
	for _, port := range s.Spec.Ports {
		for _, vip := range vips {
			row.Ports = append(row.Ports, p.portOf(row, &s.Spec, vip, port, list))
		}
	}
	known := len(row.ExternalIPs)+len(row.Ingress) > 0
	if !known && !slices.ContainsFunc(row.Ports, func(p host.ServicePort) bool { return p.NodePort != 0 || len(p.Own) > 0 }) {
		return nil
	}
	return row
}

func (p place) portOf(s *host.Service, spec *corev1.ServiceSpec, vip netip.Addr, port corev1.ServicePort, list []*discoveryv1.EndpointSlice) host.ServicePort {
	out := host.ServicePort{
		VIP: netip.AddrPortFrom(vip, uint16(port.Port)), NodePort: uint16(port.NodePort),
		Protocol: strings.ToLower(string(cmp.Or(port.Protocol, corev1.ProtocolTCP))),
	}
	here, own, all := p.choices(spec, port, vip, list)
	out.Live = len(all) > 0
	if p.isOutside(own) {
		out.Own = own
	}
	if p.isOutside(all) || s.Affinity > 0 && !s.Local || isLocal(spec) {
		out.Pick = all
	}
	if s.Local {
		out.Here = here
	}
	return out
}

// choices are the endpoints of a port that are on this node, those of packets to its ClusterIP that come from this node, and those of
// packets to its other addresses.
func (p place) choices(spec *corev1.ServiceSpec, port corev1.ServicePort, vip netip.Addr, list []*discoveryv1.EndpointSlice) (here, own, all []netip.AddrPort) {
	endpoints := endpointsOf(list, port, vip.Is4())
	here = usable(slices.DeleteFunc(slices.Clone(endpoints), func(e endpoint) bool { return e.node != p.node }))
	all = usable(p.nearest(value(spec.TrafficDistribution), endpoints))
	if isLocal(spec) {
		return here, here, all
	}
	return here, all, all
}

func isLocal(spec *corev1.ServiceSpec) bool {
	return value(spec.InternalTrafficPolicy) == corev1.ServiceInternalTrafficPolicyLocal
}

// isOutside tells whether an endpoint is not of the overlay.
func (p place) isOutside(list []netip.AddrPort) bool {
	return slices.ContainsFunc(list, func(a netip.AddrPort) bool {
		return !slices.ContainsFunc(p.inside, func(n netip.Prefix) bool { return n.Contains(a.Addr()) })
	})
}

// nearest leaves the endpoints that this node uses, by kube-proxy's rules: those with a hint for the node, if every ready
// endpoint has one for some node and one of them is for this; else the same with zones; else all. While no endpoint is ready, hints do
// not count. The controller does the same for OVN (compile/near.go there).
func (p place) nearest(distribution string, endpoints []endpoint) []endpoint {
	only := func(hints func(endpoint) []string, name string) []endpoint {
		return slices.DeleteFunc(slices.Clone(endpoints), func(e endpoint) bool { return e.ready && !slices.Contains(hints(e), name) })
	}
	nodes := func(e endpoint) []string { return e.nodes }
	zones := func(e endpoint) []string { return e.zones }
	switch distribution {
	case corev1.ServiceTrafficDistributionPreferSameNode:
		if hinted(endpoints, nodes, p.node) {
			return only(nodes, p.node)
		}
	case corev1.ServiceTrafficDistributionPreferSameZone, corev1.ServiceTrafficDistributionPreferClose:
	default:
		return endpoints
	}
	if hinted(endpoints, zones, p.zone) {
		return only(zones, p.zone)
	}
	return endpoints
}

func hinted(endpoints []endpoint, hints func(endpoint) []string, name string) (found bool) {
	for _, e := range endpoints {
		if !e.ready {
			continue
		}
		if len(hints(e)) == 0 {
			return false
		}
		found = found || slices.Contains(hints(e), name)
	}
	return found
}

// endpoint is one endpoint of one port.
type endpoint struct {
	at           netip.AddrPort
	node         string
	ready, ended bool     // ended: about to end, and still serving
	nodes, zones []string // hints: whose clients it is meant for
}

// endpointsOf lists those of one port and family.
func endpointsOf(list []*discoveryv1.EndpointSlice, port corev1.ServicePort, v4 bool) []endpoint {
	var out []endpoint
	for _, slice := range list {
		number, ok := portIn(slice, port)
		if !ok {
			continue
		}
		for _, e := range slice.Endpoints {
			if len(e.Addresses) == 0 {
				continue
			}
			// The first address is the endpoint's: more are not defined (EndpointSlice API).
			addr, ok := addrOf(e.Addresses[0])
			if !ok || addr.Is4() != v4 {
				continue
			}
			ready := is(e.Conditions.Ready, true) // absent means ready (EndpointConditions)
			forNodes, forZones := hintsOf(e)
			out = append(out, endpoint{
				nodes: forNodes, zones: forZones,
				at: netip.AddrPortFrom(addr, number), node: value(e.NodeName), ready: ready,
				ended: is(e.Conditions.Serving, ready) && is(e.Conditions.Terminating, false),
			})
		}
	}
	return out
}

func hintsOf(e discoveryv1.Endpoint) (nodes, zones []string) {
	if e.Hints == nil {
		return nil, nil
	}
	for _, n := range e.Hints.ForNodes {
		nodes = append(nodes, n.Name)
	}
	for _, z := range e.Hints.ForZones {
		zones = append(zones, z.Name)
	}
	return nodes, zones
}

// usable are the ready ones or, while there is none, those that still serve although they are about to end.
func usable(endpoints []endpoint) []netip.AddrPort {
	var ready, ended []netip.AddrPort
	for _, e := range endpoints {
		switch {
		case e.ready:
			ready = append(ready, e.at)
		case e.ended:
			ended = append(ended, e.at)
		}
	}
	if len(ready) == 0 {
		ready = ended
	}
	slices.SortFunc(ready, netip.AddrPort.Compare)
	return slices.Compact(ready) // an endpoint may be in two slices for a moment
}

func portIn(slice *discoveryv1.EndpointSlice, port corev1.ServicePort) (uint16, bool) {
	for _, p := range slice.Ports {
		if p.Port != nil && value(p.Name) == port.Name && cmp.Or(value(p.Protocol), corev1.ProtocolTCP) == cmp.Or(port.Protocol, corev1.ProtocolTCP) {
			return uint16(*p.Port), true
		}
	}
	return 0, false
}

// ClusterIPs are those of a Service, none of one that has none.
func ClusterIPs(s *corev1.Service) []netip.Addr {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	return addrs(s.Spec.ClusterIPs)
}

// ingressOf are the addresses with which packets arrive; those of mode Proxy are the load balancer's own affair.
func ingressOf(s *corev1.Service) []netip.Addr {
	var texts []string
	for _, i := range s.Status.LoadBalancer.Ingress {
		if i.IPMode == nil || *i.IPMode == corev1.LoadBalancerIPModeVIP {
			texts = append(texts, i.IP)
		}
	}
	return addrs(texts)
}

// affinityOf is in seconds. The API server fills the time in.
func affinityOf(spec *corev1.ServiceSpec) int32 {
	if spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return 0
	}
	if c := spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
		return *c.ClientIP.TimeoutSeconds
	}
	return corev1.DefaultClientIPServiceAffinitySeconds
}

// addrs leaves out what is no address of one host: "None" of a headless Service, and mistakes.
func addrs(texts []string) []netip.Addr {
	var out []netip.Addr
	for _, text := range texts {
		if a, ok := addrOf(text); ok && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

func addrOf(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

func prefixesOf(texts []string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		if p, err := netip.ParsePrefix(strings.TrimSpace(text)); err == nil && !p.Addr().Is4In6() {
			out = append(out, p.Masked())
		}
	}
	return out
}

func is(condition *bool, otherwise bool) bool {
	if condition == nil {
		return otherwise
	}
	return *condition
}

// value of an optional field.
func value[T any](p *T) T {
	if p == nil {
		var none T
		return none
	}
	return *p
}
