// Package process starts the programs of a sandbox and identifies them later.
//
// A Process is a child that must not outlive its parent: the kernel kills it with
// PR_SET_PDEATHSIG (prctl(2)) when the parent dies, be it by kill -9. An Identity is
// what is written to disk about a process that must outlive its parent: the number
// and the start time, so that a reused number is never taken for the process.
//
// It imports the standard library and golang.org/x/sys. Package controlplane starts
// its programs with it, package machine keeps identities.
//
// Restart: a Process ends with its parent; an Identity is read back from its file.
package process
