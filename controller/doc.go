// Package controller turns Kubernetes objects into the OVN northbound database.
//
//	Kubernetes ─feed─▶ state ─compile─▶ rows ─plan─▶ one transaction ─▶ OVN NB ─northd─▶ SB ─▶ nodes
//	    ▲                │  (pure, one file            (one diff,              │
//	    └──decide────────┘   per feature)               one owner key)         │
//	    └──report◀──────────────── problems · committed ◀──────────────────────┘
//
//	feed     copies Kubernetes objects into narrow structs
//	state    holds them, and knows who read what
//	decide   makes choices and records them in Kubernetes first: which IP, which Subnet
//	compile  says what rows each owner wants: pure functions, one file for each kind
//	engine   the loop: compile what is dirty, plan, commit as one transaction
//	report   conditions and metrics from what became of it
//	ipam     the pools of addresses: a pure data structure
//
// run.go wires them, and is the only place that knows all parts; ovn.go finds the databases. To follow one Pod: decide/pod.go
// gives it an address, feed/ip.go and feed/pod.go bring both objects into the state, compile/pod.go wants a port,
// engine/session.go commits it. Restart: everything is read again, compared, and nothing is written.
package controller
