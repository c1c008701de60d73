package node

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is one daemon: its program and arguments, and its process while it runs.
type process struct {
	program string
	args    []string
	running *os.Process
}

func (n *Node) processes() map[string]*process {
	db := func(file, socket string) []string {
		return []string{filepath.Join(n.Dir, file), "--remote=punix:" + filepath.Join(n.Dir, socket), "--unixctl=" + filepath.Join(n.Dir, file+".ctl")}
	}
	return map[string]*process{
		NBDB:     {program: "ovsdb-server", args: db("nb.db", "nb.sock")},
		SBDB:     {program: "ovsdb-server", args: db("sb.db", "sb.sock")},
		OVSDB:    {program: "ovsdb-server", args: db("conf.db", "db.sock")},
		VSwitchd: {program: "ovs-vswitchd", args: vswitchdArgs(n.OVS)},
		Northd: {program: "ovn-northd", args: []string{
			"--ovnnb-db=" + n.NB, "--ovnsb-db=" + n.SB,
			"--unixctl=" + filepath.Join(n.Dir, "ovn-northd.ctl"),
		}},
		Controller: {program: "ovn-controller", args: []string{n.OVS}},
	}
}

func vswitchdArgs(db string) []string {
	if Kernel() {
		return []string{db}
	}
	return []string{db, "--disable-system"} // also where there is a module: tests are the same everywhere
}

func (n *Node) log(name string) string     { return filepath.Join(n.Dir, name+".log") }
func (n *Node) pidfile(name string) string { return filepath.Join(n.Dir, name+".pid") }

// StartProcess starts one daemon and returns when it serves: with --detach the program returns only then (daemon(7) of OVS).
// The daemon becomes a child of the test binary, which is process 1 of its namespace.
func (n *Node) StartProcess(name string) {
	n.tb.Helper()
	p := n.procs[name]
	program, args := enter(n.netns, p.program, append(p.args, "--detach", "--no-chdir", "--pidfile="+n.pidfile(name), "--log-file="+n.log(name), "-vconsole:off"))
	n.run(program, args...)
	b, err := os.ReadFile(n.pidfile(name))
	if err != nil {
		n.tb.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		n.tb.Fatal(err)
	}
	if p.running, err = os.FindProcess(pid); err != nil {
		n.tb.Fatal(err)
	}
}

// Kill ends one daemon with SIGKILL and returns when it is gone.
func (n *Node) Kill(name string) {
	n.tb.Helper()
	if n.procs[name].running == nil {
		n.tb.Fatalf("%s does not run", name)
	}
	n.kill(name)
}

func (n *Node) kill(name string) {
	p := n.procs[name]
	if p == nil || p.running == nil {
		return
	}
	if err := p.running.Kill(); err != nil {
		n.tb.Errorf("kill %s: %v", name, err)
	}
	if _, err := p.running.Wait(); err != nil {
		n.tb.Errorf("wait for %s: %v", name, err)
	}
	p.running = nil
}

// Restart is Kill, then StartProcess.
func (n *Node) Restart(name string) {
	n.tb.Helper()
	n.Kill(name)
	n.StartProcess(name)
}
