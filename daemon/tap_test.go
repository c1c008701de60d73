package daemon

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/heddle-net/heddle/daemon/port"
	"github.com/heddle-net/heddle/ovs/ovstest"
	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

// TestTaps: a Pod that is to get copies has its link as soon as it is attached, once; another sandbox of it gets its own; DEL takes it away
// with the rest, and so does the end of the mirror; nothing is written when nothing has changed.
func TestTaps(t *testing.T) {
	node.UsePrograms(t, "../dist/root")
	n := node.Start(t, node.Options{})
	var count *atomic.Int64
	n.OVS, count = ovstest.CountTransactions(t, n.OVS)
	r := newRigOn(t, n)
	s, other := r.web(10), r.pod("other", "10.16.0.11", "10.16.0.0/16", "10.16.0.1", 11)
	before := r.VSCtl("show")
	taps := []port.Tap{{Pod: s.pod.Key(), Tunnels: []port.Tunnel{{Name: "hm00000007", Key: 7}}}}
	set := func(taps []port.Tap, collectors []port.Collector) {
		t.Helper()
		if err := r.manager.SetTaps(t.Context(), taps, collectors, nil); err != nil {
			t.Fatal(err)
		}
	}
	collectors := []port.Collector{
		{MirrorID: "gre/192.0.2.9/7", Name: "hc1", Type: "gre", Address: "192.0.2.9", ID: 7},
		{MirrorID: "erspan/2001:db8::9/8", Name: "hc2", Type: "erspan", Address: "2001:db8::9", ID: 8},
	}
	have := func(when, want string) {
		t.Helper()
		got := strings.Join(strings.Fields(r.VSCtl("--bare", "--columns=external_ids", "find", "Interface", "external_ids:heddle-tap!=\"\"")), " ")
		if got != want {
			t.Errorf("%s: taps are %q, want %q", when, got, want)
		}
	}
	set(taps, nil)
	have("not attached yet", "")
	s.must("ADD")
	other.must("ADD")
	set(nil, collectors)
	tunnels := r.VSCtl("--bare", "--columns=type,options,error", "find", "Interface", "external_ids:heddle-tunnel=true", "external_ids:mirror-id!=\"\"")
	if want := []string{"gre\nkey=7 remote_ip=192.0.2.9", "erspan\nerspan_idx=8 erspan_ver=1 key=8 remote_ip=2001:db8::9"}; !strings.Contains(tunnels, want[0]) || !strings.Contains(tunnels, want[1]) {
		t.Errorf("tunnels to collectors: %s", tunnels)
	}
	err := r.manager.SetTaps(t.Context(), taps, collectors, nil)
	if want := "copies for 2001:db8::9: the user-space datapath has no ERSPAN where a Pod gets copies from other nodes"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	set(taps, nil)
	is := fmt.Sprintf("heddle-tap=%s mirror-id=%s vendor=heddle", s.id, s.pod.Key())
	have("attached", is)
	if link := r.MustExec(s.netns, "ip", "-o", "link", "show", port.TapLink); !strings.Contains(link, "UP") || !strings.Contains(link, "mtu 65535") {
		t.Errorf("the Pod's link is %s", link)
	}
	if got := strings.TrimSpace(r.VSCtl("--bare", "--columns=type,options", "find", "Interface", "name=hm00000007")); got != "gre\nkey=7 remote_ip=flow" {
		t.Errorf("the tunnel is %q", got)
	}
	if ipv6 := strings.TrimSpace(r.MustExec(s.netns, "cat", "/proc/sys/net/ipv6/conf/"+port.TapLink+"/disable_ipv6")); ipv6 != "1" {
		t.Error("the Pod has an address at the link: disable_ipv6 is ", ipv6)
	}
	from := r.VSCtl("get", "Port", "hm00000007", "_uuid", "--", "get", "Port", port.HostName(s.id, port.TapLink), "_uuid")
	if mirror := r.VSCtl("--bare", "--columns=select_src_port,output_port", "list", "Mirror"); !slices.Equal(strings.Fields(mirror), strings.Fields(from)) {
		t.Errorf("OVS copies from and to %s, want %s", mirror, from)
	}
	sent := count.Load()
	set(taps, nil)
	if now := count.Load(); now != sent {
		t.Errorf("%d transactions when nothing has changed", now-sent)
	}

	r.MustExec(s.netns, "ip", "link", "del", port.TapLink)
	set(taps, nil)
	r.MustExec(s.netns, "ip", "link", "show", port.TapLink)
	next := s.pod
	next.UID = "next"
	r.pods.Put(next.Key(), next)
	set(taps, nil)
	have("attached, but another Pod has come by that name", "")
	r.pods.Put(s.pod.Key(), s.pod)
	set(taps, nil)
	have("attached, as before", is)
	s.must("DEL")
	have("after DEL", "")
	set(taps, nil)
	other.must("DEL")
	if after := r.VSCtl("show"); after != before {
		t.Errorf("OVS had\n%s\nand has\n%s", before, after)
	}
	if mirrors := strings.TrimSpace(r.VSCtl("list", "Mirror")); mirrors != "" {
		t.Errorf("left over: %s", mirrors)
	}

	s.must("ADD")
	set(taps, nil)
	have("attached again", is)
	set(nil, nil)
	have("nobody asks any more", "")
	if links := r.MustExec(s.netns, "ip", "-o", "link"); strings.Contains(links, port.TapLink) {
		t.Errorf("the Pod still has\n%s", links)
	}
	s.must("CHECK")
}
