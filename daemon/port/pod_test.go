package port

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/heddle-net/heddle/cni/api"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

func annotations(change map[string]string) map[string]string {
	out := map[string]string{
		v1.AnnotationAllocated: "true", v1.AnnotationIPAddress: "10.16.0.5,fd00::5", v1.AnnotationMACAddress: "0a:58:0a:10:00:05",
		v1.AnnotationCIDR: "10.16.0.0/16,fd00::/112", v1.AnnotationGateway: "10.16.0.1,fd00::1", v1.AnnotationLogicalSwitch: "ovn-default",
	}
	for k, v := range change {
		out[k] = v
	}
	return out
}

func TestAnnotations(t *testing.T) {
	for _, c := range []struct {
		name   string
		change map[string]string
		want   string
	}{
		{"dual-stack", nil, "[10.16.0.5/16 via 10.16.0.1 fd00::5/112 via fd00::1]"},
		{"IPv6 first", map[string]string{v1.AnnotationIPAddress: "fd00::5,10.16.0.5"}, "[10.16.0.5/16 via 10.16.0.1 fd00::5/112 via fd00::1]"},
		{"lists in another order", map[string]string{v1.AnnotationCIDR: "fd00::/112, 10.16.0.0/16"}, "[10.16.0.5/16 via 10.16.0.1 fd00::5/112 via fd00::1]"},
		{"one family of a dual-stack Subnet", map[string]string{v1.AnnotationIPAddress: "fd00::5"}, "[fd00::5/112 via fd00::1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := PodFrom("default", "web", "u1", annotations(c.change)).parse()
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, ip := range n.ips {
				got = append(got, fmt.Sprintf("%s via %s", ip.Address, ip.Gateway))
			}
			if fmt.Sprint(got) != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

func TestInvalidAnnotations(t *testing.T) {
	const p = "Pod default/web: annotation ovn.kubernetes.io/"
	for _, c := range []struct{ key, value, want string }{
		{v1.AnnotationLogicalSwitch, "", p + "logical_switch is missing"},
		{v1.AnnotationMACAddress, "", p + `mac_address "" is not a unicast MAC address`},
		{v1.AnnotationMACAddress, "01:00:5e:00:00:01", p + `mac_address "01:00:5e:00:00:01" is not a unicast MAC address`},
		{v1.AnnotationMACAddress, "02:00:00:00:fe:80:00:01", p + `mac_address "02:00:00:00:fe:80:00:01" is not a unicast MAC address`},
		{v1.AnnotationIPAddress, "", p + `ip_address "": "" is not an IP address`},
		{v1.AnnotationIPAddress, "10.16.0.300", p + `ip_address "10.16.0.300": "10.16.0.300" is not an IP address`},
		{v1.AnnotationIPAddress, "10.16.0.5/16", p + `ip_address "10.16.0.5/16": "10.16.0.5/16" is not an IP address`},
		{v1.AnnotationIPAddress, "10.16.0.5,10.16.0.6", p + `ip_address "10.16.0.5,10.16.0.6" has two of one address family`},
		{v1.AnnotationIPAddress, "fd00::5%eth0", p + `ip_address "fd00::5%eth0": "fd00::5%eth0" is not an IP address`},
		{v1.AnnotationIPAddress, "::ffff:10.16.0.5", p + `ip_address "::ffff:10.16.0.5": "::ffff:10.16.0.5" is not an IP address`},
		{v1.AnnotationIPAddress, "10.17.0.5", p + "ip_address 10.17.0.5 is not in 10.16.0.0/16"},
		{v1.AnnotationIPAddress, "10.16.0.1", p + "ip_address 10.16.0.1 is the gateway"},
		{v1.AnnotationCIDR, "10.16.0.0/33", p + `cidr "10.16.0.0/33": "10.16.0.0/33" is not a CIDR`},
		{v1.AnnotationCIDR, "10.16.0.0/16", p + `cidr "10.16.0.0/16" has no CIDR of the family of fd00::5`},
		{v1.AnnotationGateway, "router", p + `gateway "router": "router" is not an IP address`},
		{v1.AnnotationGateway, "fd00::1", p + `gateway "fd00::1" has no gateway of the family of 10.16.0.5`},
		{v1.AnnotationGateway, "10.17.0.1,fd00::1", p + "gateway 10.17.0.1 is not in 10.16.0.0/16"},
	} {
		t.Run(c.key+"="+c.value, func(t *testing.T) {
			_, err := PodFrom("default", "web", "u1", annotations(map[string]string{c.key: c.value})).parse()
			e := new(api.Error)
			if !errors.As(err, &e) || e.Code != api.CodeAnnotation || e.Msg != c.want {
				t.Errorf("\n got %v\nwant code 100: %s", err, c.want)
			}
		})
	}
}

// FuzzAnnotations: whatever passes is a network that the kernel can take.
func FuzzAnnotations(f *testing.F) {
	a := annotations(nil)
	f.Add(a[v1.AnnotationIPAddress], a[v1.AnnotationCIDR], a[v1.AnnotationGateway], a[v1.AnnotationMACAddress])
	f.Add("10.16.0.5", "10.16.0.0/0", "::", "00:00:00:00:00:00")
	f.Fuzz(func(t *testing.T, ip, cidr, gateway, mac string) {
		n, err := Pod{Subnet: "s", IP: ip, CIDR: cidr, Gateway: gateway, MAC: mac}.parse()
		if err != nil {
			return
		}
		if len(n.ips) == 0 || len(n.ips) > 2 || len(n.mac) != 6 {
			t.Fatalf("%d addresses, MAC %s", len(n.ips), n.mac)
		}
		for _, a := range n.ips {
			if !a.Address.Contains(a.Gateway) || a.Gateway == a.Address.Addr() || a.Address.Addr().Zone() != "" {
				t.Fatalf("address %s with gateway %s", a.Address, a.Gateway)
			}
		}
	})
}

func TestTableWait(t *testing.T) {
	var table Table[int]
	got := make(chan int)
	go func() {
		v, _, err := table.Wait(t.Context(), "k", func(v int) bool { return v > 1 })
		if err != nil {
			t.Error(err)
		}
		got <- v
	}()
	table.Put("other", 5)
	table.Put("k", 1)
	table.Delete("k")
	table.Put("k", 2)
	if v := <-got; v != 2 {
		t.Errorf("woken with %d, want 2", v)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	v, found, err := table.Wait(ctx, "k", func(v int) bool { return v > 2 })
	if v != 2 || !found || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %d, %t, %v, want the newest and the deadline", v, found, err)
	}
	if len(table.waiters) != 0 {
		t.Errorf("%d waiters are left", len(table.waiters))
	}
}

func TestLocks(t *testing.T) {
	var l locks
	unlock, err := l.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("given up"))
	if _, err := l.lock(ctx, "a"); err == nil || err.Error() != "given up" {
		t.Errorf("a held lock was given: %v", err)
	}
	next := make(chan func())
	go func() {
		unlock, err := l.lock(context.Background(), "a")
		if err != nil {
			t.Error(err)
		}
		next <- unlock
	}()
	other, err := l.lock(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	other()
	unlock()
	(<-next)()
	if len(l.held) != 0 {
		t.Errorf("%d locks are left", len(l.held))
	}
}

func TestHostName(t *testing.T) {
	seen := map[string]string{}
	for i := range 10000 {
		id := fmt.Sprintf("container-with-a-long-common-prefix-%d", i)
		name := HostName(id, "eth0")
		if !IsHostName(name) || seen[name] != "" {
			t.Fatalf("%s: %q, which %q has", id, name, seen[name])
		}
		seen[name] = id
	}
	if HostName("c", "eth0") == HostName("c", "net1") {
		t.Error("two interfaces of one container have one name")
	}
}

func TestPodsGone(t *testing.T) {
	var pods Pods
	first, next := Pod{Namespace: "n", Name: "p", UID: "u1"}, Pod{Namespace: "n", Name: "p", UID: "u2", Allocated: true}
	await := func(uid string) string {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("timeout"))
		defer cancel()
		p, found, gone, err := pods.await(ctx, "n/p", uid)
		return strings.TrimSpace(fmt.Sprintf("%s %t %t %v", p.UID, found, gone, err))
	}
	for _, c := range []struct {
		what      string
		do        func()
		uid, want string
	}{
		{"not known yet", func() {}, "u1", "false false timeout"},
		{"without an address", func() { pods.Put("n/p", first) }, "u1", "u1 true false timeout"},
		{"its successor is not known yet", func() {}, "u2", "u1 true false timeout"},
		{"written again", func() { pods.Put("n/p", first) }, "u1", "u1 true false timeout"},
		{"replaced", func() { pods.Put("n/p", next) }, "u1", "u2 true true <nil>"},
		{"the successor", func() {}, "u2", "u2 true false <nil>"},
		{"deleted", func() { pods.Delete("n/p") }, "u2", "false true <nil>"},
		{"deleted again", func() { pods.Delete("n/p") }, "u2", "false true <nil>"},
		{"there after all", func() { pods.Put("n/p", next) }, "u2", "u2 true false <nil>"},
	} {
		c.do()
		if got := await(c.uid); got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, got, c.want)
		}
	}
	for i := range 2 * remembered {
		pods.Put("n/p", Pod{UID: fmt.Sprint(i)})
	}
	if len(pods.gone) != remembered || len(pods.order) != remembered || !pods.isGone(fmt.Sprint(2*remembered-2)) {
		t.Errorf("remembers %d and %d", len(pods.gone), len(pods.order))
	}
}

func TestPodsWakesWhenGone(t *testing.T) {
	var pods Pods
	pods.Put("n/p", Pod{UID: "u1"})
	got := make(chan bool)
	go func() {
		_, _, gone, _ := pods.await(t.Context(), "n/p", "u1")
		got <- gone
	}()
	pods.Delete("n/p")
	if !<-got {
		t.Error("the Pod is not gone")
	}
}
