package node

import (
	"net"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

func TestNodeBindsAPort(t *testing.T) {
	n := Start(t, Options{})
	n.NBCtl("ls-add", "sw", "--", "lsp-add", "sw", "web")
	ns := n.NewNetNS()
	n.MustExec("", "ip", "link", "add", "h0", "type", "veth", "peer", "name", "eth0", "netns", ns)
	// The kernel removes what is in a namespace some time after the namespace: do not leave the name to the next test.
	t.Cleanup(func() { n.MustExec("", "ip", "link", "del", "h0") })
	n.VSCtl("add-port", "br-int", "h0", "--", "set", "Interface", "h0", "external_ids:iface-id=web")
	n.NBCtl("wait-until", "Logical_Switch_Port", "web", "up=true")
	n.Restart(Controller)
	n.Restart(VSwitchd)
	if out := n.VSCtl("show"); !strings.Contains(out, "br-int") {
		t.Errorf("no br-int in\n%s", out)
	}
}

func TestNamespacesAreOwn(t *testing.T) {
	Start(t, Options{Bare: true})
	if pid := os.Getpid(); pid != 1 {
		t.Errorf("process %d, want 1 of an own namespace", pid)
	}
	names, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range names {
		switch l.Name {
		case "lo", "ovs-netdev", "ovs-system", "br-int": // ovn-controller makes br-int by itself
		default:
			t.Errorf("link %s is of another namespace", l.Name)
		}
	}
}
