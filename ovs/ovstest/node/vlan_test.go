package node

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// TestVLAN shows that the kernel's datapath puts tags on and takes them off: a port of a switch whose localnet port has VLAN 7 exchanges
// much data with a host that hears only what has that tag, and reaches none that hears VLAN 8.
func TestVLAN(t *testing.T) {
	if !Kernel() {
		t.Skip("needs the kernel's datapath and its VLAN devices, see e2e/kernel")
	}
	n := Start(t, Options{})
	hosts := n.vlans("7", "8")
	n.VSCtl("add-br", "br-vlan", "--", "set", "Bridge", "br-vlan", "datapath_type="+Datapath(), "--", "add-port", "br-vlan", "uplink",
		"--", "set", "Open_vSwitch", ".", "external_ids:ovn-bridge-mappings=physical:br-vlan")
	t.Cleanup(func() { n.VSCtl("del-br", "br-vlan") })
	pod := n.NewNetNS()
	n.MustExec("", "ip", "link", "add", "h0", "type", "veth", "peer", "name", "eth0", "netns", pod)
	t.Cleanup(func() { n.MustExec("", "ip", "link", "del", "h0") })
	n.MustExec("", "ip", "link", "set", "h0", "up")
	n.address(pod, "eth0", "1")
	n.VSCtl("add-port", "br-int", "h0", "--", "set", "Interface", "h0", "external_ids:iface-id=web")
	n.NBCtl("--wait=hv", "ls-add", "sw", "--", "lsp-add", "sw", "web", "--", "lsp-set-addresses", "web", "unknown",
		"--", "lsp-add", "sw", "out", "", "7", "--", "lsp-set-type", "out", "localnet", "--", "lsp-set-addresses", "out", "unknown",
		"--", "lsp-set-options", "out", "network_name=physical")
	for _, prefix := range []string{"10.77.0.", "fd00:10:77::"} {
		n.echo(hosts[0], prefix+"7")
		n.echo(hosts[1], prefix+"8")
		if err := n.exchange(pod, prefix+"7", 10*time.Second); err != nil {
			t.Errorf("%s7, in the same VLAN: %v", prefix, err)
		}
		if err := n.exchange(pod, prefix+"8", time.Second); err == nil {
			t.Errorf("%s8 is in another VLAN, and is reached", prefix)
		}
	}
}

// vlans makes hosts that hear one VLAN each, of the cable that the link uplink is the node's end of.
func (n *Node) vlans(tags ...string) (hosts []string) {
	n.tb.Helper()
	n.MustExec("", "ip", "link", "add", "uplink", "type", "veth", "peer", "name", "trunk")
	n.tb.Cleanup(func() { n.MustExec("", "ip", "link", "del", "uplink") })
	n.MustExec("", "ip", "link", "set", "uplink", "up")
	n.MustExec("", "ip", "link", "set", "trunk", "up")
	for _, tag := range tags {
		host := n.NewNetNS()
		n.MustExec("", "ip", "link", "add", "link", "trunk", "name", "vlan", "netns", host, "type", "vlan", "id", tag)
		n.address(host, "vlan", tag)
		hosts = append(hosts, host)
	}
	return hosts
}

func (n *Node) address(netns, link, host string) {
	n.tb.Helper()
	n.MustExec(netns, "ip", "link", "set", link, "up")
	n.MustExec(netns, "ip", "addr", "add", "10.77.0."+host+"/24", "dev", link)
	n.MustExec(netns, "ip", "addr", "add", "fd00:10:77::"+host+"/120", "dev", link, "nodad")
}

// echo sends back what comes on port 8080.
func (n *Node) echo(netns, ip string) {
	n.tb.Helper()
	n.Do(netns, func() {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, "8080"))
		if err != nil {
			n.tb.Error(err)
			return
		}
		n.tb.Cleanup(func() { _ = l.Close() })
		go func() {
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}
		}()
	})
}

// exchange sends much to an echo and wants it back.
func (n *Node) exchange(netns, ip string, within time.Duration) (err error) {
	n.tb.Helper()
	sent := bytes.Repeat([]byte("heddle "), 256<<10/7)
	got := make([]byte, len(sent))
	n.Do(netns, func() {
		var conn net.Conn
		if conn, err = net.DialTimeout("tcp", net.JoinHostPort(ip, "8080"), within); err != nil {
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(within))
		go func() { _, _ = conn.Write(sent) }()
		_, err = io.ReadFull(conn, got)
	})
	if err == nil && !bytes.Equal(got, sent) {
		n.tb.Errorf("%s sends back something else", ip)
	}
	return err
}
