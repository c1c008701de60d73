// Package cni is the CNI plugin: it turns the runtime's environment and standard input into one request to the node's
// daemon, and the response into a result of the version that the configuration asks for, or a typed CNI error.
//
// It owns nothing: no state, no file, no lock. All work is the daemon's (package daemon/port). It is started for every
// operation, so it must start in a few milliseconds: it imports the CNI library, cni/api and the standard library, no Kubernetes,
// no netlink library beyond the CNI library's own, and a test holds that it cannot start processes.
//
// Restart: without the daemon ADD, DEL, CHECK and GC fail with code 11 ("try again later") and STATUS with 50; the runtime repeats.
//
// Read next: config.go (what a configuration may say), relay.go, result.go.
package cni
