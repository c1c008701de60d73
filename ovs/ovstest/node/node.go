package node

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Options vary a Node. The zero value is what most tests want.
type Options struct {
	// Name is the chassis name (system-id). Default "node-under-test".
	Name string
	// Bare leaves Open_vSwitch:external_ids and br-int to the code under test: ovn-controller then waits for ovn-remote.
	Bare bool
	// Of makes this a further node of another one's network: it has no NB, SB and ovn-northd of its own.
	Of *Node
	// NetNS is the network namespace of a further node, such as one of NewNetNS. Tunnels need the kernel's datapath there: in user space
	// the uplink would have to be on a bridge.
	NetNS string
	// EncapIP is the address of the node's tunnels, which the test gives to a link. Default 192.0.2.1.
	EncapIP string
}

// Node is a running OVN node. Its methods fail the test on error.
type Node struct {
	// Dir holds sockets, databases and logs.
	Dir string
	// OVS, NB and SB are the endpoints of the databases, such as unix:/tmp/…/db.sock.
	OVS, NB, SB string

	tb    testing.TB
	netns string // empty: that of the test binary
	procs map[string]*process
	seq   int
}

// The processes of a node, by the name that Kill and StartProcess take.
const (
	OVSDB      = "ovsdb-server"
	VSwitchd   = "ovs-vswitchd"
	Controller = "ovn-controller"
	Northd     = "ovn-northd"
	NBDB       = "ovn-nb"
	SBDB       = "ovn-sb"
)

// Start runs a node until the test ends. It skips the test where that cannot be.
func Start(tb testing.TB, opt Options) *Node {
	tb.Helper()
	if why := missing(); why != "" {
		tb.Skip(why)
	}
	if os.Getenv(Inside) == "" {
		tb.Fatal("the package has no TestMain that calls node.Main")
	}
	if opt.Name == "" {
		opt.Name = "node-under-test"
	}
	dir, err := os.MkdirTemp("", "heddle-node-") // t.TempDir is too long for a socket's path (108 bytes, unix(7))
	if err != nil {
		tb.Fatal(err)
	}
	n := &Node{Dir: dir, OVS: "unix:" + dir + "/db.sock", NB: "unix:" + dir + "/nb.sock", SB: "unix:" + dir + "/sb.sock", tb: tb, netns: opt.NetNS}
	n.procs = n.processes()
	if opt.Of != nil {
		n.NB, n.SB = opt.Of.NB, opt.Of.SB
		for _, name := range []string{NBDB, SBDB, Northd} {
			delete(n.procs, name)
		}
	}
	tb.Cleanup(n.stop)
	n.start(opt)
	return n
}

func (n *Node) start(opt Options) {
	n.tb.Helper()
	n.createDatabases()
	n.StartProcess(OVSDB)
	if opt.Of == nil {
		n.startCentral()
	}
	n.VSCtl("--no-wait", "init")
	if !opt.Bare {
		n.VSCtl("--no-wait", "set", "Open_vSwitch", ".",
			"external_ids:system-id="+opt.Name, "external_ids:ovn-remote="+n.SB,
			"external_ids:ovn-encap-type=geneve", "external_ids:ovn-encap-ip="+cmp.Or(opt.EncapIP, "192.0.2.1"),
			"external_ids:ovn-bridge-datapath-type="+Datapath(), "external_ids:ovn-monitor-all=true")
		n.VSCtl("--no-wait", "add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type="+Datapath(), "fail_mode=secure")
	}
	n.StartProcess(VSwitchd)
	n.StartProcess(Controller)
	if Kernel() && !opt.Bare {
		n.wantKernel()
	}
}

// startCentral starts what a network has once.
func (n *Node) startCentral() {
	n.tb.Helper()
	n.StartProcess(NBDB)
	n.StartProcess(SBDB)
	// ovn-controller 23.03 crashes while SB_Global has no row.
	n.NBCtl("init")
	n.SBCtl("init")
	n.StartProcess(Northd)
}

func (n *Node) createDatabases() {
	n.tb.Helper()
	for name, schema := range map[string]string{
		"conf.db": "/usr/share/openvswitch/vswitch.ovsschema",
		"nb.db":   "/usr/share/ovn/ovn-nb.ovsschema",
		"sb.db":   "/usr/share/ovn/ovn-sb.ovsschema",
	} {
		n.run("ovsdb-tool", "create", filepath.Join(n.Dir, name), schema)
	}
}

// stop ends all processes and reports the end of their logs when the test has failed.
func (n *Node) stop() {
	if Kernel() && n.procs[VSwitchd].running != nil {
		n.unwantUserSpace()
	}
	for _, name := range []string{Controller, Northd, VSwitchd, OVSDB, SBDB, NBDB} {
		n.kill(name)
	}
	if n.tb.Failed() {
		for name := range n.procs {
			n.tb.Logf("%s:\n%s", name, tail(n.log(name), 15))
		}
	}
	if err := os.RemoveAll(n.Dir); err != nil {
		n.tb.Error(err)
	}
}

func tail(file string, lines int) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// In makes a subtest the one that fails, and that cleans up, until it ends.
func (n *Node) In(tb testing.TB) {
	outer := n.tb
	n.tb = tb
	tb.Cleanup(func() { n.tb = outer })
}

// timeout bounds what a daemon is asked for. It is long for the kernel's tests, on a machine that is emulated.
const timeout = "--timeout=60"

// NBCtl runs ovn-nbctl on the northbound database and returns its output.
func (n *Node) NBCtl(args ...string) string {
	n.tb.Helper()
	return n.run("ovn-nbctl", append([]string{timeout, "--db=" + n.NB}, args...)...)
}

// SBCtl runs ovn-sbctl on the southbound database and returns its output.
func (n *Node) SBCtl(args ...string) string {
	n.tb.Helper()
	return n.run("ovn-sbctl", append([]string{timeout, "--db=" + n.SB}, args...)...)
}

// VSCtl runs ovs-vsctl on the node's own database and returns its output.
func (n *Node) VSCtl(args ...string) string {
	n.tb.Helper()
	return n.run("ovs-vsctl", append([]string{timeout, "--db=" + n.OVS}, args...)...)
}

// AppCtl runs ovs-appctl on ovs-vswitchd and returns its output.
func (n *Node) AppCtl(args ...string) string {
	n.tb.Helper()
	return n.run("ovs-appctl", append([]string{timeout, "--target=ovs-vswitchd"}, args...)...)
}

func (n *Node) run(name string, args ...string) string {
	n.tb.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = n.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		n.tb.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (n *Node) env() []string {
	env := os.Environ()
	for _, v := range []string{"OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVN_RUNDIR", "OVN_LOGDIR", "OVN_DBDIR"} {
		env = append(env, fmt.Sprintf("%s=%s", v, n.Dir))
	}
	return env
}
