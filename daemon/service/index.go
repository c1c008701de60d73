package service

import (
	"cmp"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/daemon/announce"
	"github.com/heddle-net/heddle/daemon/host"
)

// Index joins Services and EndpointSlices. Make it with NewIndex.
type Index struct {
	changed func()

	mu       sync.Mutex
	place    place
	services map[string]*corev1.Service
	slices   map[string]map[string]*discoveryv1.EndpointSlice // by Service, then by their own key
	owners   map[string]string                                // of EndpointSlices: their Services
	rows     map[string]*host.Service
	checks   map[string]Check

	balancers map[string]*announce.Service

	flows map[string]map[Flow]bool // that there may be
	lost  map[Flow]time.Time       // since when
}

// NewIndex makes the Index of one node. changed is called, with no lock held, after a change of Rows, Checks or Balancers, and when more
// flows are lost.
func NewIndex(node string, changed func()) *Index {
	return &Index{
		changed: changed, place: place{node: node}, services: map[string]*corev1.Service{},
		slices: map[string]map[string]*discoveryv1.EndpointSlice{}, owners: map[string]string{},
		rows: map[string]*host.Service{}, checks: map[string]Check{}, balancers: map[string]*announce.Service{},
		flows: map[string]map[Flow]bool{}, lost: map[Flow]time.Time{},
	}
}

// Rows are sorted by name: the same objects are the same rows. They are not to be changed.
func (x *Index) Rows() []*host.Service {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := make([]*host.Service, 0, len(x.rows))
	for _, r := range x.rows {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b *host.Service) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Checks are sorted by port.
func (x *Index) Checks() []Check {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := make([]Check, 0, len(x.checks))
	for _, c := range x.checks {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Check) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name))
	})
	return out
}

// SetInside names the CIDRs of the overlay's Subnets: what OVN reaches for the node.
func (x *Index) SetInside(inside []netip.Prefix) {
	x.update(func() []string {
		if slices.Equal(x.place.inside, inside) {
			return nil
		}
		x.place.inside = inside
		return x.all()
	})
}

// SetZone names the node's zone, empty when it has none.
func (x *Index) SetZone(zone string) {
	x.update(func() []string {
		if x.place.zone == zone {
			return nil
		}
		x.place.zone = zone
		return x.all()
	})
}

func (x *Index) all() []string { return slices.Collect(maps.Keys(x.services)) }

// PutService stores a Service under its key.
func (x *Index) PutService(key string, s *corev1.Service) {
	x.update(func() []string { x.services[key] = s; return []string{key} })
}

// DeleteService forgets a Service.
func (x *Index) DeleteService(key string) {
	x.update(func() []string { delete(x.services, key); return []string{key} })
}

// PutSlice stores an EndpointSlice under its key. Its label says whose it is; one without is nobody's.
func (x *Index) PutSlice(key string, s *discoveryv1.EndpointSlice) {
	owner := s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]
	x.update(func() []string {
		before := x.forget(key)
		if x.slices[owner] == nil {
			x.slices[owner] = map[string]*discoveryv1.EndpointSlice{}
		}
		x.slices[owner][key], x.owners[key] = s, owner
		return append(before, owner)
	})
}

// DeleteSlice forgets an EndpointSlice.
func (x *Index) DeleteSlice(key string) {
	x.update(func() []string { return x.forget(key) })
}

// forget returns whose slice it was.
func (x *Index) forget(key string) []string {
	owner, ok := x.owners[key]
	if !ok {
		return nil
	}
	delete(x.owners, key)
	delete(x.slices[owner], key)
	if len(x.slices[owner]) == 0 {
		delete(x.slices, owner)
	}
	return []string{owner}
}

// update makes the rows of the Services that the change names anew.
func (x *Index) update(change func() []string) {
	x.mu.Lock()
	differs := false
	for _, key := range change() {
		differs = x.renew(key) || differs
	}
	x.mu.Unlock()
	if differs {
		x.changed()
	}
}

// renew reports that something is different now.
func (x *Index) renew(key string) bool {
	var row *host.Service
	var check Check
	var balancer *announce.Service
	list := slices.Collect(maps.Values(x.slices[key]))
	lost := x.renewFlows(key, list)
	if s := x.services[key]; s != nil {
		row, check, balancer = x.place.rowOf(s, list), x.place.checkOf(s, list), balancerOf(s, list)
	}
	if reflect.DeepEqual(x.rows[key], row) && x.checks[key] == check && reflect.DeepEqual(x.balancers[key], balancer) {
		return lost
	}
	put(x.balancers, key, balancer, balancer != nil)
	put(x.rows, key, row, row != nil)
	put(x.checks, key, check, check != Check{})
	return true
}

func put[V any](m map[string]V, key string, v V, keep bool) {
	if keep {
		m[key] = v
	} else {
		delete(m, key)
	}
}

// TrimService keeps what a row is made of.
func TrimService(s *corev1.Service) *corev1.Service {
	out := &corev1.Service{ObjectMeta: trimMeta(s.ObjectMeta)}
	out.Spec.Type, out.Spec.Ports, out.Spec.ClusterIPs, out.Spec.ExternalIPs = s.Spec.Type, s.Spec.Ports, s.Spec.ClusterIPs, s.Spec.ExternalIPs
	out.Spec.SessionAffinity, out.Spec.SessionAffinityConfig = s.Spec.SessionAffinity, s.Spec.SessionAffinityConfig
	out.Spec.LoadBalancerSourceRanges, out.Spec.HealthCheckNodePort = s.Spec.LoadBalancerSourceRanges, s.Spec.HealthCheckNodePort
	out.Spec.ExternalTrafficPolicy = s.Spec.ExternalTrafficPolicy
	out.Spec.InternalTrafficPolicy, out.Spec.TrafficDistribution = s.Spec.InternalTrafficPolicy, s.Spec.TrafficDistribution
	out.Spec.LoadBalancerClass = s.Spec.LoadBalancerClass
	if pool := s.Annotations[v1.AnnotationServicePool]; pool != "" {
		out.Annotations = map[string]string{v1.AnnotationServicePool: pool}
	}
	out.Status.LoadBalancer = s.Status.LoadBalancer
	return out
}

// TrimSlice keeps addresses, ports, conditions, nodes and hints.
func TrimSlice(s *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	out := &discoveryv1.EndpointSlice{ObjectMeta: trimMeta(s.ObjectMeta), AddressType: s.AddressType, Ports: s.Ports}
	out.Labels = map[string]string{discoveryv1.LabelServiceName: s.Labels[discoveryv1.LabelServiceName]}
	out.Endpoints = make([]discoveryv1.Endpoint, 0, len(s.Endpoints))
	for _, e := range s.Endpoints {
		out.Endpoints = append(out.Endpoints, discoveryv1.Endpoint{Addresses: e.Addresses, Conditions: e.Conditions, NodeName: e.NodeName, Hints: e.Hints})
	}
	return out
}

func trimMeta(m metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion}
}
