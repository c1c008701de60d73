// Package node runs a whole OVN node for tests: ovsdb-server, ovs-vswitchd (with the datapath of datapath.go) and ovn-controller,
// with a northbound and a southbound database and ovn-northd of its own.
//
// A test package that uses it hands its TestMain to Main, which runs the test binary again in a network, mount and process
// namespace of its own. Bridges, veths and sysctls are then never the machine's, no packet can leave, and the kernel
// kills every process with the test binary, however that ends. Tests in one binary share that network namespace, so only one Node runs at
// a time, but for those that Options.NetNS puts elsewhere.
//
//	func TestMain(m *testing.M) { node.Main(m) }
//
//	func TestPort(t *testing.T) {
//		n := node.Start(t, node.Options{})
//		n.NBCtl("ls-add", "sw", "--", "lsp-add", "sw", "web.default")
//		pod := n.NewNetNS()
//		…
//	}
//
// Nothing is waited for by sleeping: the daemons are started with --detach, which returns once they serve.
//
// It owns the state below one temporary folder per Node and is for tests only: it starts the command line tools that
// product code must not. It imports no other package of Heddle. Read next: main.go, then node.go.
package node
