// Package pki makes the certificates of a sandbox: one authority per cluster, and
// from it a certificate for each server and each client.
//
// It owns the files ca.crt and ca.key and the pairs NAME.crt and NAME.key of one
// folder. The authority's key is kept there, so that a node which joins later gets
// its certificates from the same authority. Nothing here is meant to outlive the
// sandbox: certificates are valid for a year and are never renewed.
//
// It imports only the standard library. Who needs which certificate is said where it
// is used: package controlplane for the control plane, package node for the kubelet.
//
// Restart: Open reads the authority back from its folder, and makes one only where
// there is none.
package pki
