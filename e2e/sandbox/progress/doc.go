// Package progress tells a person at a terminal what a command is doing: one line for each step with the
// time that it took, and a line that goes on while a long step runs.
//
// On a terminal that line is rewritten in place; elsewhere (a CI log) it is repeated every fifteen seconds, so
// that a long step does not look like a hanging one. It owns nothing but its output, and imports only the
// standard library and golang.org/x/term.
package progress
