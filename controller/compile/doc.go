// Package compile says what the OVN northbound database should hold, as a pure function of the state.
//
// There is one file for each kind of owner, named as in feed and state: vpc.go, subnet.go, node.go, pod.go. group.go is the
// one kind that is no object: the Pods of a selector, shared by all who ask for them with View.Group. A compiler is total:
// it reads through a state.View, writes the complete list of rows that its owner wants, and answers bad or incomplete input
// with a defined result and a problem, never with an error. What is missing is no problem: references to rows that are not
// there yet are the planner's business.
//
// It imports state, the row types of ovs/nb and the standard library without os, time and math/rand: the same state gives
// the same rows, always. testdata holds txtar files, cluster objects in and rows out; `make golden` rewrites the answers.
//
// Start with kinds in compile.go, then read subnet.go.
package compile
