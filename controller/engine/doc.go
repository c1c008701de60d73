// Package engine keeps the northbound database equal to what the compilers want.
//
//	engine.go   Run: one session for each connection to the database
//	gather.go   who must be in one transaction: a Pod and the groups that it joins
//	session.go  wait → take dirty owners → compile → plan → commit → report
//	start.go    the first pass of a session
//	held.go     holding back mass deletions
//	wait.go     owners that are blocked, and what wakes them
//
// There is one loop and one goroutine that plans; what arrives while a transaction is under way goes into the next one.
// Every session begins by comparing everything: with a database that agrees it commits nothing. A lost connection, a
// deadline that passed, a database that was replaced by an empty one: each simply ends the session.
//
// A transaction that the database refuses is halved until the owners that it cannot take stand alone; those get a
// problem and are tried again at the next audit or change, the rest commits.
//
// The engine imports state, compile and ovs/nb. What becomes of results (conditions, Events, released addresses) is the
// Sink's business.
package engine
