package daemon

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/heddle-net/heddle/daemon/port"
	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

func TestAddAndDel(t *testing.T) {
	r := newRig(t)
	s := r.web(10)
	host := port.HostName(s.id, "eth0")
	out := s.must("ADD")

	var got struct {
		Interfaces []struct {
			Name, Mac, Sandbox string
			Mtu                int
		}
		IPs []struct {
			Address, Gateway string
			Interface        int
		}
		Routes []struct{ Dst, GW string }
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("{[{%s %s  1400} {eth0 0a:58:0a:10:00:0a %s 1400}] [{10.16.0.10/16 10.16.0.1 1}] [{0.0.0.0/0 10.16.0.1}]}",
		host, hostMAC(t, host), s.netns)
	if text := fmt.Sprint(got); text != want {
		t.Errorf("result\n got %s\nwant %s", text, want)
	}
	ids := r.VSCtl("get", "Interface", host, "external_ids")
	for _, id := range []string{
		"cni_ifname=eth0", "cni_network=heddle", "container_id=" + s.id, "iface-id=web.default", "iface-id-ver=uid-web-10",
		`ip="10.16.0.10"`, `ovn-installed="true"`, "pod_name=web", "pod_namespace=default", `pod_netns="` + s.netns + `"`, "vendor=heddle",
	} {
		if !strings.Contains(ids, id) {
			t.Errorf("no %s in external_ids %s", id, ids)
		}
	}
	addr := r.MustExec(s.netns, "ip", "-o", "addr", "show", "eth0")
	if !strings.Contains(addr, "inet 10.16.0.10/16 brd 10.16.255.255 scope global eth0") {
		t.Errorf("addresses of eth0:\n%s", addr)
	}
	s.must("CHECK")
	s.must("DEL")
	if left := r.leftovers(); left != nil {
		t.Errorf("left over after DEL: %v", left)
	}
	s.must("DEL")
}

func hostMAC(t *testing.T, name string) string {
	t.Helper()
	link, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return link.HardwareAddr.String()
}

func TestNodeProcessesRestart(t *testing.T) {
	r := newRig(t)
	first := r.web(10)
	first.must("ADD")
	for _, name := range []string{node.OVSDB, node.VSwitchd, node.Controller} {
		r.Restart(name)
	}
	second := r.pod("other", "10.16.0.11", "10.16.0.0/16", "10.16.0.1", 11)
	second.must("ADD")
	first.must("DEL")
	second.must("DEL")
	if left := r.leftovers(); left != nil {
		t.Errorf("left over: %v", left)
	}
}
