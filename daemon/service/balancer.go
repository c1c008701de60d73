package service

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/daemon/announce"
)

// Balancers are the Services that some node answers for, sorted by name. They are not to be changed.
func (x *Index) Balancers() []*announce.Service {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.SortedFunc(maps.Values(x.balancers), func(a, b *announce.Service) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
}

// balancerOf is nil for a Service that has no addresses of ours.
func balancerOf(s *corev1.Service, list []*discoveryv1.EndpointSlice) *announce.Service {
	_, ours := v1.AsksForAddress(s)
	addresses := ingressOf(s)
	if !ours || len(addresses) == 0 {
		return nil
	}
	out := &announce.Service{
		Namespace: s.Namespace, Name: s.Name, UID: string(s.UID), Addrs: addresses,
		Local: s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
	}
	if out.Local {
		out.Nodes = nodesOf(s, list)
	}
	return out
}

// nodesOf are the nodes of the endpoints of all ports that are ready or, while none is, of those that still serve.
func nodesOf(s *corev1.Service, list []*discoveryv1.EndpointSlice) []string {
	ready, ended := map[string]bool{}, map[string]bool{}
	for _, port := range s.Spec.Ports {
		for _, v4 := range []bool{true, false} {
			for _, e := range endpointsOf(list, port, v4) {
				switch {
				case e.node == "":
				case e.ready:
					ready[e.node] = true
				case e.ended:
					ended[e.node] = true
				}
			}
		}
	}
	if len(ready) == 0 {
		ready = ended
	}
	return slices.Sorted(maps.Keys(ready))
}
