package controller

import (
	"slices"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// TestDatabaseEndpoints: a database that is about to end is asked last.
func TestDatabaseEndpoints(t *testing.T) {
	port, yes := int32(6641), true
	got := endpointsOf([]discoveryv1.EndpointSlice{{
		Ports: []discoveryv1.EndpointPort{{Port: &port}, {}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"192.0.2.11"}, Conditions: discoveryv1.EndpointConditions{Terminating: &yes}},
			{Addresses: []string{"2001:db8::12"}},
		},
	}})
	if want := []string{"ssl:[2001:db8::12]:6641", "ssl:192.0.2.11:6641"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDatabaseAddresses(t *testing.T) {
	got, err := Database{Addr: "unix:/a,tcp:192.0.2.1:6641", Service: "x/y"}.endpoints(t.Context(), nil)
	if want := []string{"unix:/a", "tcp:192.0.2.1:6641"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if _, err := (Database{Service: "none"}).endpoints(t.Context(), nil); err == nil {
		t.Error("a name without a namespace gives no error")
	}
}
