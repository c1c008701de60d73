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
//go:generate go tool -modfile=../tools/go.mod controller-gen object crd paths=./heddle output:object:dir=./heddle output:crd:dir=./manifests

// Those of policy.networking.k8s.io come from their own module: two are made from its types, because it has no file of them any more.
// The annotation is what the API server wants of a group of that domain; the rule for CIDRs is shorter because a list of 100 rules with
// 100 peers of 25 CIDRs exceeds what it lets an expression cost.
//
//go:generate go tool -modfile=../tools/go.mod controller-gen crd paths=sigs.k8s.io/network-policy-api/apis/v1alpha1 output:crd:dir=./policy
//go:generate sed -i "s,^  annotations:,&\\n    api-approved.kubernetes.io: https://github.com/kubernetes-sigs/network-policy-api/pull/30," policy/policy.networking.k8s.io_adminnetworkpolicies.yaml policy/policy.networking.k8s.io_baselineadminnetworkpolicies.yaml
//go:generate sed -i "s/isCIDR(self) && cidr(self) == cidr(self).masked()/isCIDR(self)/" policy/policy.networking.k8s.io_adminnetworkpolicies.yaml policy/policy.networking.k8s.io_baselineadminnetworkpolicies.yaml
//go:generate sh -c "cat $(go list -m -f {{.Dir}} sigs.k8s.io/network-policy-api)/config/crd/experimental/policy.networking.k8s.io_clusternetworkpolicies.yaml > policy/policy.networking.k8s.io_clusternetworkpolicies.yaml"

// FS holds manifests, with Heddle's own kinds (kubeovn.io_ips.yaml, heddle.dev_trafficmirrors.yaml and so on), and policy, with those of policy.networking.k8s.io.
//
//go:embed manifests policy
var FS embed.FS
