// Package build makes the programs and file systems that the sandbox runs, and keeps them.
//
// It owns the folder heddle in the user's cache folder: Kubernetes' programs and
// agnhost from the module in e2e/sandbox/kube, CoreDNS from the one in e2e/sandbox/coredns, the CNI plugins and helm from the
// repository's own modules, and agnhost's root file system from Debian. Each lies in
// a folder named after its version, is made once, and appears there by a rename only when it is
// whole: an interrupted build leaves nothing that looks finished. A file lock keeps
// two builds of the same thing apart.
//
// Sources are the Go module proxy and the Debian archive, nothing else. Start reading
// with Programs; package controlplane and package node use the result.
//
// Restart: what is there is used, what is missing is made.
package build
