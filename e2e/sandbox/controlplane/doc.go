// Package controlplane runs a Kubernetes control plane: etcd and kube-apiserver, and
// where asked for kube-controller-manager and kube-scheduler.
//
// Two users share it. A Go test or benchmark calls ForTest or Start and gets, in a few
// seconds and without root, a server of its own on a free port of 127.0.0.1, which
// ends with the test even when the test is killed. The sandbox calls Settings.Prepare
// and Settings.Services, and runs the same programs as services of a machine.
//
// It owns one folder: pki/, kubeconfigs, etcd's data and the logs. Without
// kube-controller-manager nothing makes service accounts, so the admission plugin that
// asks for them is off, and a deleted namespace stays in Terminating.
//
// It imports packages build, pki and process of the sandbox, and client-go. Read
// start.go first, then settings.go for the flags.
//
// Restart: a folder that was used before is used again, with its authority and data.
package controlplane
