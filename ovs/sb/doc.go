// Package sb touches the OVN southbound database where the controller must: ovn-northd and the nodes own it, but nobody of
// them removes what a node that is gone for ever has left there.
//
// It connects for one question and hangs up; nothing is cached. It never imports the controller.
package sb
