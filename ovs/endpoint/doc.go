// Package endpoint finds OVN's databases by the EndpointSlices of their headless Services: whoever connects to a database reads the
// slices from the API server, because neither DNS nor ClusterIPs work before the network does.
//
// It is a pure function of the slices and owns no data. It may import the Kubernetes API types and the standard library,
// never daemon or controller. Read endpoint.go, then daemon/chassis.go, which hands the result to ovn-controller.
//
// Restart: nothing is kept.
package endpoint
