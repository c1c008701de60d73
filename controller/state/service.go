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
	// Unsupported names the fields that are set and that Heddle does not implement yet; the Service is served without them.
	Unsupported []string
}

// ServicePort is one port of a Service.
type ServicePort struct {
	Name     string // the same as in the EndpointSlices, which have the port numbers of the endpoints
	Protocol string // "tcp", "udp" or "sctp", as OVN writes it
	Port     uint16
}

func (s *Service) equal(o *Service) bool {
	return s.Namespace == o.Namespace && s.Name == o.Name && s.Affinity == o.Affinity &&
		slices.Equal(s.VIPs, o.VIPs) && slices.Equal(s.Ports, o.Ports) && slices.Equal(s.Unsupported, o.Unsupported)
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
}

func (s *EndpointSlice) equal(o *EndpointSlice) bool {
	return s.Service == o.Service && slices.Equal(s.Ports, o.Ports) && slices.Equal(s.Endpoints, o.Endpoints)
}
