package state

import (
	"net/netip"
	"slices"
	"time"
)

// Service is a Service with addresses of its own: neither headless nor an ExternalName.
type Service struct {
	Namespace string
	Name      string
	// VIPs are all addresses under which Pods reach it: cluster IPs, external IPs, and those of load balancers.
	VIPs     []netip.Addr
	Ports    []ServicePort
	Affinity bool // a client stays with its endpoint
	// Local are those of VIPs at which a client reaches the endpoints of its own node only.
	Local []netip.Addr
	// Prefer says whose endpoints a client reaches at the other VIPs, as far as the hints of the EndpointSlices allow it.
	Prefer Preference
	// Distribution is what trafficDistribution says if nobody knows what it means.
	Distribution string
	// Created orders Services and SwitchLBRules that claim the same address.
	Created time.Time
}

// Preference is what a Service prefers to endpoints anywhere.
type Preference string

// Preferences.
const (
	PreferNone Preference = ""
	PreferZone Preference = "zone" // endpoints with a hint for the client's zone
	PreferNode Preference = "node" // endpoints with a hint for the client's node, then for its zone
)

// Near tells whether clients on different nodes may reach different endpoints.
func (s *Service) Near() bool { return len(s.Local) > 0 || s.Prefer != PreferNone }

// ServicePort is one port of a Service.
type ServicePort struct {
	Name     string // the same as in the EndpointSlices, which have the port numbers of the endpoints
	Protocol string // "tcp", "udp" or "sctp", as OVN writes it
	Port     uint16
}

func (s *Service) equal(o *Service) bool {
	return s.Namespace == o.Namespace && s.Name == o.Name && s.Affinity == o.Affinity && s.Created.Equal(o.Created) &&
		slices.Equal(s.VIPs, o.VIPs) && slices.Equal(s.Ports, o.Ports) &&
		slices.Equal(s.Local, o.Local) && s.Prefer == o.Prefer && s.Distribution == o.Distribution
}

// Key is namespace/name.
func (s *Service) Key() string { return s.Namespace + "/" + s.Name }

// EndpointSlice lists endpoints of a Service, of one family.
type EndpointSlice struct {
	Service   string // namespace/name
	Ports     []ServicePort
	Endpoints []Endpoint
	// Changed is when the change happened that the slice shows last, as far as its author says; it is no part of the content.
	Changed time.Time
}

// Endpoint is an address that may serve.
type Endpoint struct {
	Addr netip.Addr
	// Ready ones serve. Serving ones are about to end; they serve while nobody is ready.
	Ready, Serving bool
	Node           string // where it is, empty when that is not known
	// Zones and Nodes are hints: whose clients it is meant for.
	Zones, Nodes []string
}

func (e Endpoint) equal(o Endpoint) bool {
	return e.Addr == o.Addr && e.Ready == o.Ready && e.Serving == o.Serving && e.Node == o.Node &&
		slices.Equal(e.Zones, o.Zones) && slices.Equal(e.Nodes, o.Nodes)
}

func (s *EndpointSlice) equal(o *EndpointSlice) bool {
	return s.Service == o.Service && slices.Equal(s.Ports, o.Ports) && slices.EqualFunc(s.Endpoints, o.Endpoints, Endpoint.equal)
}

// ServiceCIDR is where ClusterIPs come from, at most one range of each family.
type ServiceCIDR struct {
	Name  string
	CIDRs []netip.Prefix
}

func (s *ServiceCIDR) equal(o *ServiceCIDR) bool {
	return s.Name == o.Name && slices.Equal(s.CIDRs, o.CIDRs)
}
