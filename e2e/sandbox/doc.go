// Sandbox is a real Kubernetes cluster with Heddle on one Linux machine, without a container engine and without a registry: the
// first command of a newcomer (`make sandbox`), and what the end-to-end tests run on.
//
//	go run ./e2e/sandbox up | down | status | shell MACHINE | kubectl-env | build
//
// The packages below it, each usable from Go, from the bottom up:
//
//	progress      what the command prints
//	process       programs, and how to know them again
//	pki           certificates
//	build         programs and file systems, made once and kept in the user's cache folder (kube/ and coredns/ are the modules for Kubernetes' and CoreDNS)
//	image         container images: pause, agnhost and CoreDNS
//	controlplane  etcd and kube-apiserver; also for tests that need no more than these
//	machine       a computer made of namespaces
//	fabric        links and addresses between machines
//	node          what a machine needs to be a Kubernetes node
//	cluster       all of it together: up, down, and the API of the end-to-end tests
//
// This package owns only the command line. A sandbox's state is in $XDG_STATE_HOME/heddle/sandbox/NAME, its kubeconfig in .sandbox of the
// repository. Everything that a sandbox sends stays in its network namespaces or on the host's loopback.
//
// Restart: see package cluster.
package main
