// Package decide makes the choices that are not a function of the cluster, and records them in Kubernetes before anything
// else sees them: which address a Pod or a Node has, what a Subnet leaves open, which Subnets a Namespace uses.
//
//	ledger.go     who has which address: the pools, and what is recorded
//	record.go     the IP object that records each lease
//	load.go       what the IP objects say at start
//	kept.go       the addresses of ports whose removal the engine holds back
//	address.go    the reconciler of everything that holds an address; pod.go, node.go, virtual.go, loadbalancer.go and reservation.go are its cases
//	subnet.go     completes a Subnet, gives it a pool, keeps it while it is in use, shows its status
//	vpc.go        the same for a Vpc
//	namespace.go  shows in a Namespace's annotations which Subnets serve it
//	slr.go        makes the Service of a SwitchLBRule (slr_service.go), and shows its status; virtual.go: its addresses
//	securitygroup.go  shows the status of a SecurityGroup
//	mirror.go         shows the status of a TrafficMirror
//	notice.go     says what is wrong with a Service, a ServiceCIDR or a NetworkPolicy
//	qos.go        says which annotations about traffic cannot be read
//	binding.go    finds the Subnets of a Namespace
//	bootstrap.go  creates the default Vpc and Subnets when they are absent
//
// These are controller-runtime reconcilers, and run on the leader only. An address is written down in an IP object before
// it is given to anybody, and given back only after the engine has committed the removal of the port that had it.
//
// After a restart the pools are rebuilt from the IP objects, oldest first, before the first reconciler runs.
package decide
