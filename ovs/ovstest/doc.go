// Package ovstest starts real Open vSwitch and OVN programs for tests: ovsdb-server in 30 ms, ovn-northd beside it, and
// ovn-trace to ask "what happens to this packet?" with no datapath at all.
//
//	server.go  one ovsdb-server with an empty database: kill it, start it again, lose its files
//	northd.go  two of them with ovn-northd between them; chassis and bindings by hand
//	trace.go   a Tracer answers questions about one state of SB, as one node sees it, in half a millisecond each
//	local.go   what flows mean on one node
//
// Every process listens on unix sockets in a folder of the test's own and ends with the test, also when the test is
// killed. Tests are skipped with a clear message where the programs are not installed (`make deps` installs them).
package ovstest
