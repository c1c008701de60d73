package feed

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/heddle-net/heddle/controller/state"
)

// Service converts a Service; nil when it has no address of its own: a headless one, an ExternalName, one without ports.
func Service(obj *corev1.Service) *state.Service {
	s := &state.Service{Namespace: obj.Namespace, Name: obj.Name, VIPs: vipsOf(obj), Affinity: obj.Spec.SessionAffinity == corev1.ServiceAffinityClientIP}
	s.Created = obj.CreationTimestamp.Time
	if p := obj.Spec.InternalTrafficPolicy; p != nil && *p == corev1.ServiceInternalTrafficPolicyLocal {
		s.Local = addrsOf(obj.Spec.ClusterIPs)
	}
	if d := obj.Spec.TrafficDistribution; d != nil {
		s.Prefer, s.Distribution = preferenceOf(*d)
	}
	for _, p := range obj.Spec.Ports {
		if protocol, ok := protocolOf(p.Protocol); ok {
			s.Ports = append(s.Ports, state.ServicePort{Name: p.Name, Protocol: protocol, Port: uint16(p.Port)})
		}
	}
	if len(s.VIPs) == 0 || len(s.Ports) == 0 || obj.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	return s
}

// vipsOf lists every address of the Service, in a fixed order. What cannot be read, "None" of a headless one too, is left out. So are
// addresses of a load balancer that not everybody may use: packets to them leave OVN by the node of their Pod, which knows the ranges.
func vipsOf(obj *corev1.Service) []netip.Addr {
	texts := slices.Concat(obj.Spec.ClusterIPs, obj.Spec.ExternalIPs)
	if obj.Spec.Type == corev1.ServiceTypeLoadBalancer && len(obj.Spec.LoadBalancerSourceRanges) == 0 {
		for _, ingress := range obj.Status.LoadBalancer.Ingress {
			if ingress.IPMode == nil || *ingress.IPMode == corev1.LoadBalancerIPModeVIP {
				texts = append(texts, ingress.IP)
			}
		}
	}
	return addrsOf(texts)
}

func addrsOf(texts []string) []netip.Addr {
	var addrs []netip.Addr
	for _, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
			addrs = append(addrs, addr.Unmap())
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

// preferenceOf also returns what it does not know.
func preferenceOf(distribution string) (p state.Preference, unknown string) {
	switch distribution {
	case corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone: // two names for one thing
		return state.PreferZone, ""
	case corev1.ServiceTrafficDistributionPreferSameNode:
		return state.PreferNode, ""
	}
	return state.PreferNone, distribution
}

func protocolOf(p corev1.Protocol) (string, bool) {
	switch p = cmp.Or(p, corev1.ProtocolTCP); p {
	case corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP:
		return strings.ToLower(string(p)), true
	}
	return "", false
}

// EndpointSlice converts an EndpointSlice; nil when it belongs to no Service, or has names instead of addresses.
func EndpointSlice(obj *discoveryv1.EndpointSlice) *state.EndpointSlice {
	service := obj.Labels[discoveryv1.LabelServiceName]
	if service == "" || obj.AddressType == discoveryv1.AddressTypeFQDN {
		return nil
	}
	s := &state.EndpointSlice{Service: obj.Namespace + "/" + service}
	s.Changed, _ = time.Parse(time.RFC3339Nano, obj.Annotations[corev1.EndpointsLastChangeTriggerTime])
	for _, p := range obj.Ports {
		var protocol corev1.Protocol
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		if text, ok := protocolOf(protocol); ok && p.Port != nil {
			port := state.ServicePort{Protocol: text, Port: uint16(*p.Port)}
			if p.Name != nil {
				port.Name = *p.Name
			}
			s.Ports = append(s.Ports, port)
		}
	}
	for _, e := range obj.Endpoints {
		s.Endpoints = append(s.Endpoints, endpointsOf(e)...)
	}
	return s
}

// endpointsOf gives the first address, which is the endpoint's: more are not defined (EndpointSlice API).
func endpointsOf(e discoveryv1.Endpoint) []state.Endpoint {
	if len(e.Addresses) == 0 {
		return nil
	}
	addr, err := netip.ParseAddr(e.Addresses[0])
	if err != nil || addr.Zone() != "" {
		return nil
	}
	is := func(condition *bool, otherwise bool) bool {
		if condition == nil {
			return otherwise
		}
		return *condition
	}
	ready := is(e.Conditions.Ready, true) // absent means ready (EndpointConditions)
	out := state.Endpoint{Addr: addr.Unmap(), Ready: ready, Serving: is(e.Conditions.Serving, ready) && is(e.Conditions.Terminating, false)}
	if e.NodeName != nil {
		out.Node = *e.NodeName
	}
	if e.Hints != nil {
		for _, z := range e.Hints.ForZones {
			out.Zones = append(out.Zones, z.Name)
		}
		for _, n := range e.Hints.ForNodes {
			out.Nodes = append(out.Nodes, n.Name)
		}
	}
	return []state.Endpoint{out}
}
