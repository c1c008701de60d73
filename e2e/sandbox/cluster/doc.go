// Package cluster puts a sandbox together: the router, the control plane, nodes and outside hosts, and Heddle in it. It
// is the Go API of the end-to-end tests too.
//
//	Open(name)     a sandbox that is there: its nodes, kubeconfig, processes to kill, outside hosts
//	Up, Down       make it and remove it
//
// It owns one folder, $XDG_STATE_HOME/heddle/sandbox/NAME:
//
//	sandbox.json     what cannot be found out from the machines
//	bin/sandbox      the program that is the machines' init
//	control/         the control plane's folder, with its logs
//	machines/NAME/   one folder per machine; log/ in it has the logs
//
// and the cgroup heddle-sandbox-NAME. Everything else (links, mounts, namespaces, processes) hangs on the machines'
// inits and ends with them. The only file elsewhere is the kubeconfig, in .sandbox of the repository.
//
// It imports all other packages of the sandbox. Read up.go for the order of things.
//
// Restart: Up on a sandbox that runs adds what is missing. When a machine has died (a reboot, say), Up removes what
// is left and starts over: nothing in a sandbox is worth to be repaired.
package cluster
