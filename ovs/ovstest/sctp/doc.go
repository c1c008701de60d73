// Package sctp opens SCTP associations by hand, for kernels that have no SCTP: it sends an INIT and answers one with an INIT ACK
// (RFC 9260, 5.1), over raw sockets, which is what connection tracking and address translation look at.
//
// Nothing is kept of an association. Namespaces are the caller's affair: a socket belongs to the one in which it was opened.
package sctp
