package packets

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// patience bounds what must happen; what must not is given less.
const (
	patience  = 10 * time.Second
	certainty = time.Second
)

const services = `
kind: Service
metadata: {namespace: default, name: db}
spec:
  clusterIPs: [10.96.0.10, "fd00:10:96::10"]
  ports: [{name: echo, port: 80, protocol: PROTOCOL}]
---
kind: EndpointSlice
metadata: {namespace: default, name: db-4, labels: {kubernetes.io/service-name: db}}
ports: [{name: echo, port: 8080, protocol: PROTOCOL}]
endpoints: [{addresses: [10.66.0.12]}]
---
kind: EndpointSlice
metadata: {namespace: default, name: db-6, labels: {kubernetes.io/service-name: db}}
ports: [{name: echo, port: 8080, protocol: PROTOCOL}]
endpoints: [{addresses: ["fd00:10:66::c"]}]
`

// TestPolicyPackets shows what needs real packets: a Pod that is isolated in both directions reaches itself by its Service and hears its own
// node, and nobody else, no other node either; a connection that a new policy forbids is cut, and lives again when the policy has gone; a
// Pod that may begin nothing still answers.
func TestPolicyPackets(t *testing.T) { onEachOVN(t, testPolicyPackets) }

func testPolicyPackets(t *testing.T) {
	r := newRig(t)
	web, db := r.pod("web", 11), r.pod("db", 12)
	r.put(strings.ReplaceAll(services, "PROTOCOL", "TCP"))
	r.apply()
	vips := []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd00:10:96::10")}
	var lasting []net.Conn
	for i, addr := range db.addrs {
		r.echo(db, addr)
		lasting = append(lasting, r.dial(web.netns, addr, 8080, patience))
		r.expect(lasting[i], true, "web to db, without policies")
		r.expect(r.dial(web.netns, vips[i], 80, patience), true, "web to the Service, without policies")
		r.expect(r.dial(db.netns, vips[i], 80, patience), true, "db to its own Service, without policies")
	}
	other := netip.MustParseAddr("100.64.0.9") // as of another node
	r.MustExec("", "ip", "addr", "add", other.String()+"/16", "dev", "ovn0")
	r.expect(r.dialBy(other, db.addrs[0], patience), true, "another node to db, without policies")
	r.policy("deny", "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress]}")
	r.apply()
	if conn := r.dialBy(other, db.addrs[0], certainty); conn != nil {
		t.Error("another node reaches db, which is isolated")
	}
	for i, addr := range db.addrs {
		r.expect(r.dial(db.netns, vips[i], 80, patience), true, "db to its own Service")
		r.expect(r.dial("", addr, 8080, patience), true, "the node to db")
		r.expect(lasting[i], false, "the connection from before")
		if conn := r.dial(web.netns, addr, 8080, certainty); conn != nil {
			t.Errorf("web reaches %s, which is isolated", addr)
		}
		if conn := r.dial(db.netns, web.addrs[i], 9, certainty); conn != nil {
			t.Errorf("db reaches %s although it is isolated", web.addrs[i])
		}
	}
	r.store.Policies.Delete("default/deny")
	r.apply()
	for i, addr := range db.addrs {
		r.expect(lasting[i], true, "the connection from before, after the policy")
		r.expect(r.dial(web.netns, addr, 8080, patience), true, "web to db, after the policy")
	}
	r.policy("quiet", "{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress]}")
	r.apply()
	for i, addr := range db.addrs {
		r.expect(r.dial(web.netns, addr, 8080, patience), true, "web to db, which may not begin but answer")
		if conn := r.dial(db.netns, web.addrs[i], 9, certainty); conn != nil {
			t.Errorf("db reaches %s although it may begin nothing", web.addrs[i])
		}
	}
}

// echo serves a Pod's port 8080 until the test ends.
func (r *rig) echo(p *pod, addr netip.Addr) { r.listen(p.netns, addr) }

func (r *rig) listen(netns string, addr netip.Addr) {
	r.t.Helper()
	r.in(netns, func() {
		l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 8080).String())
		if err != nil {
			r.t.Error(err)
			return
		}
		r.t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				r.t.Cleanup(func() { _ = conn.Close() })
				go func() { _, _ = conn.(*net.TCPConn).WriteTo(conn) }()
			}
		}()
	})
}

// in does something in a namespace, "" for that of the node.
func (r *rig) in(netns string, do func()) {
	if netns == "" {
		do()
		return
	}
	r.Do(netns, do)
}

// dial returns nil when nobody has answered in that time.
func (r *rig) dial(netns string, to netip.Addr, port uint16, within time.Duration) (conn net.Conn) {
	r.t.Helper()
	connect := func() {
		var err error
		if conn, err = net.DialTimeout("tcp", netip.AddrPortFrom(to, port).String(), within); err != nil {
			conn = nil
		}
	}
	r.in(netns, connect)
	if conn != nil {
		r.t.Cleanup(func() { _ = conn.Close() })
	}
	return conn
}

// dialBy connects to a Pod's port 8080 from an address of the node's link.
func (r *rig) dialBy(from, to netip.Addr, within time.Duration) net.Conn {
	d := net.Dialer{Timeout: within, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	conn, err := d.DialContext(r.t.Context(), "tcp", netip.AddrPortFrom(to, 8080).String())
	if err != nil {
		return nil
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// expect says a word and waits for it to come back, or not.
func (r *rig) expect(conn net.Conn, answer bool, what string) {
	r.t.Helper()
	if conn == nil {
		r.t.Errorf("%s: no connection", what)
		return
	}
	within := map[bool]time.Duration{true: patience, false: certainty}[answer]
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		r.t.Fatal(err)
	}
	_, err := fmt.Fprint(conn, "word")
	if err == nil {
		_, err = conn.Read(make([]byte, 4))
	}
	if answer && err != nil || !answer && !errors.Is(err, os.ErrDeadlineExceeded) {
		r.t.Errorf("%s: answered %t: %v", what, err == nil, err)
	}
}
