package service

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Flow is a UDP conversation with a Service: whom a client talks to, and who answers.
type Flow struct{ Frontend, Endpoint netip.AddrPort }

// Lost are the flows that have lost their endpoint and were not forgotten since, in no order.
func (x *Index) Lost() []Flow {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Collect(maps.Keys(x.lost))
}

// Forget drops the flows that were lost before.
func (x *Index) Forget(before time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	maps.DeleteFunc(x.lost, func(_ Flow, since time.Time) bool { return since.Before(before) })
}

// renewFlows keeps which flows a Service may have now, and which it has lost; it reports that there are more of these.
func (x *Index) renewFlows(key string, list []*discoveryv1.EndpointSlice) (more bool) {
	var may map[Flow]bool
	if s := x.services[key]; s != nil {
		may = x.place.flowsOf(s, list)
	}
	for f := range may {
		delete(x.lost, f)
	}
	for f := range x.flows[key] {
		if !may[f] {
			x.lost[f], more = time.Now(), true
		}
	}
	put(x.flows, key, may, len(may) > 0)
	return more
}

// flowsOf lists what OVN may translate for packets that come from this node.
func (p place) flowsOf(s *corev1.Service, list []*discoveryv1.EndpointSlice) map[Flow]bool {
	var out map[Flow]bool
	for _, port := range s.Spec.Ports {
		if port.Protocol != corev1.ProtocolUDP {
			continue
		}
		for _, addresses := range [][]netip.Addr{ClusterIPs(s), addrs(s.Spec.ExternalIPs), ingressOf(s)} {
			for _, a := range addresses {
				_, own, all := p.choices(&s.Spec, port, a, list)
				for _, e := range slices.Concat(own, all) {
					if out == nil {
						out = map[Flow]bool{}
					}
					out[Flow{netip.AddrPortFrom(a, uint16(port.Port)), e}] = true
				}
			}
		}
	}
	return out
}
