package endpoint_test

import (
	"slices"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/heddle-net/heddle/ovs/endpoint"
)

// slice has one endpoint for each address; one that begins with a "-" is about to end.
func slice(port int32, addresses ...string) discoveryv1.EndpointSlice {
	s := discoveryv1.EndpointSlice{Ports: []discoveryv1.EndpointPort{{Port: &port}, {}}}
	for _, a := range addresses {
		e := discoveryv1.Endpoint{Addresses: []string{a}}
		if ending := a[0] == '-'; ending {
			e.Addresses[0], e.Conditions.Terminating = a[1:], &ending
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}

func TestOf(t *testing.T) {
	for name, c := range map[string]struct {
		slices []discoveryv1.EndpointSlice
		want   []string
	}{
		"none": {},
		"sorted, each once": {
			[]discoveryv1.EndpointSlice{slice(6642, "192.0.2.9", "2001:db8::9"), slice(6642, "192.0.2.8", "192.0.2.9")},
			[]string{"ssl:192.0.2.8:6642", "ssl:192.0.2.9:6642", "ssl:[2001:db8::9]:6642"},
		},
		"no address":         {[]discoveryv1.EndpointSlice{slice(6642, "db.example", "192.0.2.9")}, []string{"ssl:192.0.2.9:6642"}},
		"one is ending":      {[]discoveryv1.EndpointSlice{slice(6642, "-192.0.2.8", "192.0.2.9")}, []string{"ssl:192.0.2.9:6642"}},
		"the only is ending": {[]discoveryv1.EndpointSlice{slice(6642, "-192.0.2.8")}, []string{"ssl:192.0.2.8:6642"}},
	} {
		if got := endpoint.Of(c.slices); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
