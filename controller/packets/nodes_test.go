package packets

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

const secondNode = `
kind: Node
metadata: {name: n2, annotations: {ovn.kubernetes.io/chassis: second}}
status: {addresses: [{type: InternalIP, address: 192.0.2.2}]}
---
kind: IP
metadata: {name: node-n2}
spec: {subnet: join, v4IpAddress: 100.64.0.3, v6IpAddress: "fd00:100:64::3", macAddress: "0a:58:64:40:00:03"}
`

// TestNodes shows two nodes with the kernel's datapath, between which Geneve goes: a Pod reaches a Pod, by its address and by its Service,
// as the node does; much data arrives, whole; and a policy cuts a connection that passes the tunnel.
func TestNodes(t *testing.T) {
	if !node.Kernel() {
		t.Skip("needs the kernel's datapath, see e2e/kernel: in user space tunnels need the uplink on a bridge")
	}
	r := newRig(t)
	r.secondNode()
	web, db := r.pod("web", 11), r.podOn("n2", "db", 12)
	r.put(strings.ReplaceAll(services, "PROTOCOL", "TCP"))
	r.apply()
	r.NBCtl("wait-until", "Logical_Switch_Port", "db.default", "up=true")
	vips := []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd00:10:96::10")}
	var lasting []net.Conn
	for i, addr := range db.addrs {
		r.echo(db, addr)
		lasting = append(lasting, r.dial(web.netns, addr, 8080, patience))
		r.expect(lasting[i], true, "web to db")
		r.expect(r.dial(web.netns, vips[i], 80, patience), true, "web to the Service")
		r.expect(r.dial("", addr, 8080, patience), true, "the first node to db")
		r.carry(r.dial(web.netns, addr, 8080, patience), 1<<20)
	}
	r.policy("deny", "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}")
	r.apply()
	for i, addr := range db.addrs {
		r.expect(lasting[i], false, "the connection from before the policy")
		if conn := r.dial(web.netns, addr, 8080, certainty); conn != nil {
			t.Errorf("web reaches %s, which is isolated", addr)
		}
	}
	r.store.Policies.Delete("default/deny")
	r.apply()
	for i := range db.addrs {
		r.expect(lasting[i], true, "the connection from before, after the policy")
	}
}

// secondNode adds n2 in a namespace, and a cable to it.
func (r *rig) secondNode() {
	r.t.Helper()
	there := r.NewNetNS()
	r.MustExec("", "ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", there)
	r.t.Cleanup(func() { r.MustExec("", "ip", "link", "del", "cable") })
	for i, netns := range []string{"", there} {
		r.MustExec(netns, "ip", "link", "set", "cable", "up")
		r.MustExec(netns, "ip", "addr", "add", fmt.Sprintf("192.0.2.%d/24", i+1), "dev", "cable")
	}
	r.nodes["n2"] = node.Start(r.t, node.Options{Name: "second", Of: r.Node, NetNS: there, EncapIP: "192.0.2.2"})
	r.put(secondNode)
}

// carry sends so many octets to an echo server, and wants them back.
func (r *rig) carry(conn net.Conn, size int) {
	r.t.Helper()
	if conn == nil {
		r.t.Error("no connection")
		return
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	want := bytes.Repeat([]byte("heddle "), size/7)
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(want)
		sent <- err
	}()
	got := make([]byte, len(want))
	n, err := io.ReadFull(conn, got)
	if err != nil || !bytes.Equal(got, want) {
		r.t.Errorf("%d octets of %d came back, %v", n, len(want), err)
		return
	}
	if err := <-sent; err != nil {
		r.t.Error(err)
	}
}
