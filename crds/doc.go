// Package crds holds the CustomResourceDefinitions of Heddle as YAML, for whoever installs or tests them.
//
// The manifests are generated from the Go types in package v1 and are never edited by hand; go generate
// rewrites them together with v1's deepcopy code. The tests of this package put them, and about a hundred
// valid and invalid objects, through the code of the API server itself (structural schema, defaults,
// validation, CEL and its cost limits), so that the exact text that a user sees is under review in testdata.
//
// It imports nothing of Heddle but, in tests, package v1. It has no state, so there is nothing to restart.
// Read v1/doc.go next.
package crds

import "embed"

//go:generate go tool -modfile=../tools/go.mod controller-gen object crd paths=./v1 output:object:dir=./v1 output:crd:dir=./manifests

// FS holds manifests/kubeovn.io_ips.yaml, kubeovn.io_subnets.yaml, kubeovn.io_switch-lb-rules.yaml and kubeovn.io_vpcs.yaml.
//
//go:embed manifests
var FS embed.FS
