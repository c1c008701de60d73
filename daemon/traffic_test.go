package daemon

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestTraffic lets two Pods of each address family talk: ICMP, and 256 KiB of TCP, which needs the checksums to be finished and
// the MTU to be right.
func TestTraffic(t *testing.T) {
	for _, c := range []struct{ name, ips, cidr, gateway string }{
		{"IPv4", "10.16.0.%d", "10.16.0.0/16", "10.16.0.1"},
		{"IPv6", "fd00::%d", "fd00::/112", "fd00::1"},
		{"dual-stack", "10.16.0.%[1]d,fd00::%[1]d", "10.16.0.0/16,fd00::/112", "10.16.0.1,fd00::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			a := r.pod("a", fmt.Sprintf(c.ips, 11), c.cidr, c.gateway, 11)
			b := r.pod("b", fmt.Sprintf(c.ips, 12), c.cidr, c.gateway, 12)
			// Some runtimes make the namespace with IPv6 off.
			r.MustExec(b.netns, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
			a.must("ADD")
			b.must("ADD")
			for ip := range strings.SplitSeq(b.pod.IP, ",") {
				// The first packet is answered: ADD does not return before the flows are there.
				r.MustExec(a.netns, "ping", "-c", "1", "-W", "2", ip)
				transfer(t, r, a.netns, b.netns, ip)
			}
			if addr := r.MustExec(a.netns, "ip", "-o", "addr", "show", "eth0"); c.name != "IPv4" && strings.Contains(addr, "tentative") {
				t.Errorf("an address is tentative:\n%s", addr)
			}
			if addr := r.MustExec("", "ip", "-o", "addr"); strings.Contains(addr, "hd") {
				t.Errorf("the node's ends have addresses:\n%s", addr)
			}
			a.must("CHECK")
		})
	}
}

// transfer sends bytes from one namespace to a server in another, over TCP.
func transfer(t *testing.T, r *rig, from, to, ip string) {
	t.Helper()
	want := bytes.Repeat([]byte("heddle "), 256<<10/7)
	deadline := time.Now().Add(5 * time.Second)
	var l *net.TCPListener
	r.Do(to, func() {
		var err error
		if l, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(ip), Port: 8080}); err != nil {
			t.Error(err)
		}
	})
	defer l.Close()
	got := make(chan []byte, 1)
	go func() {
		_ = l.SetDeadline(deadline)
		conn, err := l.Accept()
		if err != nil {
			got <- []byte(err.Error())
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(deadline)
		b, _ := io.ReadAll(conn)
		got <- b
	}()
	r.Do(from, func() {
		dialer := net.Dialer{Deadline: deadline}
		conn, err := dialer.Dial("tcp", net.JoinHostPort(ip, "8080"))
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(deadline)
		if _, err := conn.Write(want); err != nil {
			t.Error(err)
		}
	})
	if b := <-got; !bytes.Equal(b, want) {
		t.Errorf("TCP to %s: %d octets came, want %d", ip, len(b), len(want))
	}
}
