// Package domain keeps the node's half of policies by domain name: it knows which names they allow (DNSNameResolvers, as the watch
// gives them), writes what Pods are answered for these into their status, and says when an answer may go on to the Pod.
//
//	daemon/dns ─Record─▶ Book.Hold ──▶ wanted ─▶ Book.Run ─▶ status of the DNSNameResolver ─▶ controller ─▶ OVN
//	    ◀──── closed channel ◀───────────────────────────────── ovn-controller has caught up ◀──┘
//
// Restart: a fresh Book takes what the statuses say for installed. It owns nothing outside the process but entries in statuses. Read
// book.go first.
package domain
