// Package api is what the CNI plugin and the node's daemon say to each other: one JSON request over the daemon's unix
// socket, one JSON response back, then the connection ends. A plugin that goes away before the response closes the connection,
// and the daemon gives the operation up.
//
// It owns the two messages, their limits and the error codes. Validate is the daemon's guard: whatever passes it is safe to
// act on, whoever sent it. The plugin validates too, so that a user sees the same error when no daemon runs.
//
// It is part of the thin plugin, so it imports only small packages of the standard library. Read next: request.go,
// validate.go; then package cni (the sender) and daemon (the receiver).
package api
