// Package packets tests what compilers want with real packets: the rows go through the planner into a northbound database, and
// from there by ovn-northd, ovn-controller and ovs-vswitchd to Pods in network namespaces, all on one node. It is for what ovn-trace
// cannot show (it takes every packet for the first one of its connection, and forgets flags between pipelines) and for what only the
// OpenFlow tables tell, such as how many flows there are. It owns no product code.
//
// Read ovs/ovstest/node first, then rig_test.go.
package packets
