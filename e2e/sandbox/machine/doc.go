// Package machine makes a computer out of namespaces: the sandbox's nodes, its control
// plane, its router and its outside hosts.
//
// A machine has its own network, mounts, processes, host name and cgroups. Its root is an
// overlay over the host's: it sees the host's programs, and whatever is written
// goes to the machine's folder. All of it hangs on one process, the machine's init: when that is
// killed, the kernel ends every process of the machine, and with them go its mounts, its
// network namespace and everything in it (pid_namespaces(7)). So there is one thing to record and
// one to remove, after a crash as well.
//
//	Config ─Start─▶ init (Main): prepare: mounts, sysctls
//	                  ▲   parent: record, cgroup, links
//	                  └── go: run the services, start again the ones that die
//
// It owns the machine's folder (machine.json, record.json, root/, log/) and its cgroup. It
// imports package process and, for the kernel, golang.org/x/sys; the links between machines are
// package fabric's. Read start.go, then main.go.
//
// Restart: Open reads the record and finds the machine running or not; a machine that has died
// is not revived, its folder is removed and made anew.
package machine
