// Package v1 is the typed API of Heddle: the kinds Subnet, IP and Vpc of the group kubeovn.io/v1.
//
// It owns the shape of these objects (json names, printer columns, short names and scopes are those of
// Kube-OVN, so that its manifests and tools keep working), the annotations and labels that Heddle reads
// and writes on other objects, and every rule that a single object can break by itself: formats, ranges,
// immutable and exclusive fields. These rules are markers and CEL expressions on the fields, checked by
// the API server; what needs other objects (overlapping CIDRs, a gateway inside its Subnet's reserved
// addresses) is the controller's and ends in a Ready condition.
//
// A field whose feature does not exist yet is in the schema and is validated; Unsupported on the spec
// names the ones that are set, so that the controller can refuse to ignore them silently.
//
// The package imports only k8s.io/api and k8s.io/apimachinery. It holds no state and does no I/O, so
// there is nothing to restart.
//
// Read subnet.go next, then annotations.go. The CRD manifests in ../manifests and zz_generated.deepcopy.go
// are generated from here by go generate ../ (see ../doc.go).
//
// +kubebuilder:object:generate=true
// +groupName=kubeovn.io
package v1
