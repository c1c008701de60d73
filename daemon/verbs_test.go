package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heddle-net/heddle/daemon/port"
	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

// clean fails the test when something of a container is on the node, or eth0 in the namespace.
func (s *sandbox) clean() {
	s.rig.tb.Helper()
	if left := s.rig.leftovers(); left != nil {
		s.rig.tb.Errorf("left over: %v", left)
	}
	if out, err := s.rig.Exec(s.netns, "ip", "-o", "link", "show", "eth0"); err == nil {
		s.rig.tb.Errorf("left over in the namespace: %s", out)
	}
}

func TestFailedAddLeavesNothing(t *testing.T) {
	r := newRig(t)
	short := func(s *sandbox) *sandbox { s.config["timeout"] = 1; return s }
	const deadline = "context deadline exceeded"

	t.Run("no port in NB", func(t *testing.T) {
		r.in(t)
		s := short(r.web(20))
		r.NBCtl("--wait=hv", "lsp-del", "web.default")
		s.fails("ADD", 11, "Pod default/web: interface "+port.HostName(s.id, "eth0")+": "+deadline+
			"\novn-controller has not installed logical port web.default")
		s.clean()
	})
	t.Run("the port waits for another Pod of that name", func(t *testing.T) {
		r.in(t)
		s := short(r.web(21))
		r.NBCtl("--wait=hv", "lsp-set-options", "web.default", "iface-id-ver=uid-of-another")
		s.fails("ADD", 11, "Pod default/web: interface "+port.HostName(s.id, "eth0")+": "+deadline+
			"\novn-controller has not installed logical port web.default")
		s.clean()
	})
	t.Run("no address", func(t *testing.T) {
		r.in(t)
		s := short(r.web(22))
		s.pod.Allocated = false
		r.pods.Put(s.pod.Key(), s.pod)
		s.fails("ADD", 11, "Pod default/web has no address yet (see its Events): "+deadline)
		s.clean()
	})
	t.Run("no Pod", func(t *testing.T) {
		r.in(t)
		s := short(r.web(23))
		r.pods.Delete(s.pod.Key())
		s.fails("ADD", 102, "Pod default/web of UID uid-web-23 is gone")
		s.clean()
	})
	t.Run("no Pod yet", func(t *testing.T) {
		r.in(t)
		s := short(r.web(19))
		r.pods = port.Pods{}
		s.fails("ADD", 11, "Pod default/web is not known on this node: "+deadline)
		s.clean()
	})
	t.Run("the Pod was replaced", func(t *testing.T) {
		r.in(t)
		s := short(r.web(24))
		next := s.pod
		next.UID = "uid-next"
		r.pods.Put(next.Key(), next)
		s.fails("ADD", 102, "Pod default/web of UID uid-web-24 is gone")
		s.clean()
	})
	t.Run("the Pod before is not replaced yet", func(t *testing.T) {
		r.in(t)
		s := short(r.web(18))
		s.pod.UID = "uid-later"
		s.fails("ADD", 11, "Pod default/web has UID uid-web-18 now, the request is for UID uid-later: "+deadline)
		s.clean()
	})
	t.Run("no Subnet", func(t *testing.T) {
		r.in(t)
		s := short(r.web(25))
		s.pod.Subnet = "blue"
		r.pods.Put(s.pod.Key(), s.pod)
		s.fails("ADD", 11, `Pod default/web: Subnet "blue" is not known on this node: `+deadline)
		s.clean()
	})
	t.Run("a route that the kernel refuses", func(t *testing.T) {
		r.in(t)
		s := r.web(26)
		s.config["routes"] = []map[string]string{{"dst": "192.0.2.0/24", "gw": "203.0.113.1"}}
		s.fails("ADD", 999, "configure eth0 in "+s.netns+": add route 192.0.2.0/24 via 203.0.113.1: network is unreachable")
		s.clean()
	})
	t.Run("an MTU that the kernel refuses", func(t *testing.T) {
		r.in(t)
		s := r.web(27)
		r.subnets.Put("sw", port.Subnet{Name: "sw", MTU: 100000})
		defer r.subnets.Put("sw", port.Subnet{Name: "sw"})
		s.fails("ADD", 999, "make veth "+port.HostName(s.id, "eth0")+" with MTU 100000: invalid argument")
		s.clean()
	})
	t.Run("eth0 is taken", func(t *testing.T) {
		r.in(t)
		s := r.web(28)
		r.MustExec(s.netns, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
		host := port.HostName(s.id, "eth0")
		s.fails("ADD", 999, fmt.Sprintf("make veth %s: %s or eth0 in %s exists already: the container was added before", host, host, s.netns))
		if left := r.leftovers(); left != nil {
			t.Errorf("left over: %v", left)
		}
	})
	t.Run("no OVS", func(t *testing.T) {
		r.in(t)
		s := short(r.web(29))
		r.Kill(node.OVSDB)
		_, err := s.run("ADD")
		r.StartProcess(node.OVSDB)
		if e := new(cniError); !errors.As(err, &e) || e.Code != 11 {
			t.Errorf("got %v, want code 11", err)
		}
		s.clean()
	})
}

func TestAddGivesUpWithThePlugin(t *testing.T) {
	r := newRig(t)
	s := r.web(30)
	s.pod.Allocated = false
	r.pods.Put(s.pod.Key(), s.pod)
	cmd := s.command("ADD")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The plugin waits now, or will: either way it dies before the Pod has its address.
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the plugin was not killed")
	}
	s.must("DEL") // waits for the ADD to end
	s.pod.Allocated = true
	r.pods.Put(s.pod.Key(), s.pod)
	s.must("DEL")
	s.clean()
}

func TestDelNeedsNothing(t *testing.T) {
	r := newRig(t)
	t.Run("the namespace is gone", func(t *testing.T) {
		r.in(t)
		s := r.web(40)
		s.must("ADD")
		r.DelNetNS(s.netns)
		s.must("DEL")
		s.netns = "" // as a runtime says when it knows
		s.must("DEL")
		if left := r.leftovers(); left != nil {
			t.Errorf("left over: %v", left)
		}
	})
	t.Run("the Pod is gone", func(t *testing.T) {
		r.in(t)
		s := r.web(41)
		s.must("ADD")
		r.pods.Delete(s.pod.Key())
		s.must("DEL")
		s.clean()
	})
	t.Run("the veth is gone", func(t *testing.T) {
		r.in(t)
		s := r.web(42)
		s.must("ADD")
		r.MustExec("", "ip", "link", "del", port.HostName(s.id, "eth0"))
		s.must("DEL")
		s.clean()
	})
	t.Run("the port is gone", func(t *testing.T) {
		r.in(t)
		s := r.web(43)
		s.must("ADD")
		r.VSCtl("del-port", port.HostName(s.id, "eth0"))
		s.must("DEL")
		s.clean()
	})
	t.Run("never added", func(t *testing.T) {
		r.in(t)
		r.web(44).must("DEL")
	})
}

// TestStaticPod has the UID that the kubelet knows, while the API server's mirror of the Pod has another.
func TestStaticPod(t *testing.T) {
	r := newRig(t)
	s := r.web(45)
	mirror := s.pod
	mirror.StaticUID = "0123456789abcdef"
	r.pods.Put(mirror.Key(), mirror)
	s.pod.UID = mirror.StaticUID
	s.must("ADD")
	if got := r.VSCtl("get", "Interface", port.HostName(s.id, "eth0"), "external_ids:iface-id-ver"); got != mirror.UID {
		t.Errorf("iface-id-ver %s, want the UID that OVN has: %s", got, mirror.UID)
	}
}

// TestConfigureFailsFirst does not wait for OVN when the Pod's end cannot be configured.
func TestConfigureFailsFirst(t *testing.T) {
	r := newRig(t)
	s := r.web(46)
	r.NBCtl("--wait=hv", "lsp-del", "web.default")
	s.config["routes"] = []map[string]string{{"dst": "192.0.2.0/24", "gw": "203.0.113.1"}}
	begin := time.Now()
	s.fails("ADD", 999, "configure eth0 in "+s.netns+": add route 192.0.2.0/24 via 203.0.113.1: network is unreachable")
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("after %s; the timeout is 20 s", took)
	}
	s.clean()
}

// TestNewSandboxTakesOver adds a second sandbox of one Pod while the first is still there, and then deletes the first.
func TestNewSandboxTakesOver(t *testing.T) {
	r := newRig(t)
	first := r.web(50)
	first.must("ADD")
	second := r.sandboxOf(first.pod, "container-second")
	second.must("ADD")
	if got := r.VSCtl("--bare", "--columns=name", "find", "Interface", "external_ids:iface-id=web.default"); got != port.HostName(second.id, "eth0") {
		t.Errorf("interfaces of web.default: %q, want that of the second sandbox", got)
	}
	first.must("DEL")
	second.must("CHECK")
	second.must("DEL")
	second.clean()
}

func TestResultVersions(t *testing.T) {
	r := newRig(t)
	for i, version := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		t.Run(version, func(t *testing.T) {
			r.in(t)
			s := r.pod("web", fmt.Sprintf("10.16.0.%d,fd00::%x", 60+i, 60+i), "10.16.0.0/16,fd00::/112", "10.16.0.1,fd00::1", 60+i)
			s.config["cniVersion"] = version
			s.config["dns"] = map[string]any{"nameservers": []string{"10.96.0.10"}}
			s.config["routes"] = []map[string]string{{"dst": "10.96.0.0/12"}}
			got := string(s.must("ADD"))
			got = strings.NewReplacer(s.netns, "NETNS", port.HostName(s.id, "eth0"), "HOST", hostMAC(t, port.HostName(s.id, "eth0")), "HOSTMAC").Replace(got)
			golden(t, filepath.Join("testdata", "result-"+version+".json"), got)
			s.must("DEL")
		})
	}
}

// golden compares with a file; HEDDLE_UPDATE=1 rewrites it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if os.Getenv("HEDDLE_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got+"\n" != string(want) {
		t.Errorf("%s:\n%s\ngot:\n%s", file, want, got)
	}
}

func TestCheck(t *testing.T) {
	r := newRig(t)
	s := r.web(70)
	s.must("ADD")
	host := port.HostName(s.id, "eth0")
	const route = "route replace default via 10.16.0.1"
	for _, c := range []struct{ name, breaks, mends, want string }{
		{"address", "addr del 10.16.0.70/16 dev eth0", "addr add 10.16.0.70/16 dev eth0;" + route, "eth0 has no address 10.16.0.70/16"},
		{"route", "route del default", route, "eth0 has no route to 0.0.0.0/0 via 10.16.0.1"},
		{"MAC", "link set eth0 address 0a:58:00:00:00:01", "link set eth0 address 0a:58:0a:10:00:46", "eth0 has MAC 0a:58:00:00:00:01, not 0a:58:0a:10:00:46"},
		{"down", "link set eth0 down", "link set eth0 up;" + route, "eth0 is down"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.in(t)
			r.MustExec(s.netns, "ip", strings.Fields(c.breaks)...)
			s.fails("CHECK", 101, c.want)
			for mend := range strings.SplitSeq(c.mends, ";") {
				r.MustExec(s.netns, "ip", strings.Fields(mend)...)
			}
			s.must("CHECK")
		})
	}
	t.Run("another bridge", func(t *testing.T) {
		r.in(t)
		r.VSCtl("--no-wait", "add-br", "br-other", "--", "set", "Bridge", "br-other", "datapath_type="+node.Datapath())
		uuid := r.VSCtl("get", "Port", host, "_uuid")
		r.VSCtl("--no-wait", "remove", "Bridge", "br-int", "ports", uuid, "--", "add", "Bridge", "br-other", "ports", uuid)
		s.fails("CHECK", 101, "port "+host+` is on bridge "br-other", not on br-int`)
	})
	t.Run("no port", func(t *testing.T) {
		r.in(t)
		r.VSCtl("--no-wait", "del-port", host)
		s.fails("CHECK", 101, "container container-web-70 has no port in OVS")
	})
	t.Run("no prevResult", func(t *testing.T) {
		r.in(t)
		delete(s.config, "prevResult")
		s.fails("CHECK", 7, "CHECK without prevResult")
	})
}

func TestGC(t *testing.T) {
	r := newRig(t)
	keep, lose, other := r.pod("keep", "10.16.0.80", "10.16.0.0/16", "10.16.0.1", 80),
		r.pod("lose", "10.16.0.81", "10.16.0.0/16", "10.16.0.1", 81), r.pod("other", "10.16.0.82", "10.16.0.0/16", "10.16.0.1", 82)
	other.config["name"] = "another-network"
	for _, s := range []*sandbox{keep, lose, other} {
		s.must("ADD")
	}
	keep.config["cni.dev/valid-attachments"] = []map[string]string{{"containerID": keep.id, "ifname": "eth0"}}
	keep.must("GC")
	keep.must("CHECK")
	other.must("CHECK")
	lose.fails("CHECK", 101, "container container-lose-81 has no port in OVS")
	if got := len(r.leftovers()); got != 4 {
		t.Errorf("left over: %v, want two ports and their veths", r.leftovers())
	}
}

func TestStatus(t *testing.T) {
	r := newRig(t)
	s := r.web(90)
	s.must("STATUS")
	r.ready = errors.New("host network: ovn0 is missing")
	s.fails("STATUS", 50, "this node's network is not ready: host network: ovn0 is missing")
	s.config["cniVersion"] = "1.0.0"
	s.fails("STATUS", 1, "config version does not allow STATUS")
	s.config["cniVersion"] = "1.1.0"
	s.config["server_socket"] = r.Dir + "/nobody.sock"
	const nobody = "cannot reach the heddle-daemon of this node: dial unix %s: connect: no such file or directory"
	s.fails("STATUS", 50, fmt.Sprintf(nobody, r.Dir+"/nobody.sock"))
	s.fails("ADD", 11, fmt.Sprintf(nobody, r.Dir+"/nobody.sock"))
	s.fails("DEL", 11, fmt.Sprintf(nobody, r.Dir+"/nobody.sock"))
	s.config["server_socket"] = r.socket
}

func TestSweep(t *testing.T) {
	r := newRig(t)
	lives, deviceOnly, gone := r.pod("lives", "10.16.0.100", "10.16.0.0/16", "10.16.0.1", 100),
		r.pod("device", "10.16.0.101", "10.16.0.0/16", "10.16.0.1", 101), r.pod("gone", "10.16.0.102", "10.16.0.0/16", "10.16.0.1", 102)
	for _, s := range []*sandbox{lives, deviceOnly, gone} {
		s.must("ADD")
	}
	for _, s := range []*sandbox{lives, gone} {
		r.MustExec("", "ip", "link", "del", port.HostName(s.id, "eth0"))
	}
	r.pods.Delete(deviceOnly.pod.Key())
	r.pods.Delete(gone.pod.Key())
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := r.manager.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{
		"port " + port.HostName(lives.id, "eth0"):      true,
		"port " + port.HostName(deviceOnly.id, "eth0"): true, "link " + port.HostName(deviceOnly.id, "eth0"): true,
	}
	for _, l := range r.leftovers() {
		l, _, _ = strings.Cut(l, "@")
		if !want[l] {
			t.Errorf("not swept: %s", l)
		}
		delete(want, l)
	}
	if len(want) != 0 {
		t.Errorf("swept, and should not be: %v", want)
	}
}
