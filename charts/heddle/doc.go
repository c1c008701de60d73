// Package heddle holds no Go but the tests of the Helm chart in this folder.
//
// The chart owns everything that Heddle is in a cluster: the workloads and their rights, the certificates of the OVN
// databases, and a copy of the CRDs (files/crds, from crds/manifests, by `make generate`).
//
//	templates/_*.tpl       names and labels, and what all Pods have in common
//	templates/ovn-central  NB, SB and northd: one Pod
//	templates/ovs          Open vSwitch and ovn-controller on every node; nothing there may depend on the chart's version
//	templates/daemon       heddle-daemon on every node; with teardown=true, what cleans a node instead
//	templates/controller   heddle-controller
//
// The tests render it with helm, the version in tools/go.mod: the default as a whole (testdata/default.yaml), other values as
// the difference that they make (testdata/*.txtar), both rewritten by -update. rights_test.go holds what a container and a
// service account may do; server_test.go installs it on a real API server. What the Pods do is for e2e.
package heddle
