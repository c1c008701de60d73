package daemon

import (
	gocmp "cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"

	"github.com/heddle-net/heddle/daemon/port"
	"github.com/heddle-net/heddle/ovs/ovstest"
	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

// world is a node and an API server, and the daemon between them.
type world struct {
	*rig
	cluster *cluster
	cfg     Config
	older   *rest.Config // of an API server that lacks something, when set
	stop    func()
}

func newWorld(t testing.TB) *world { return newWorldOf(t, (*world).objects) }

// newWorldOf is a world whose objects something else makes.
func newWorldOf(t testing.TB, objects func(*world)) *world {
	t.Helper()
	n := node.Start(t, node.Options{Bare: true})
	w := &world{rig: &rig{Node: n, tb: t}, cluster: newCluster(t)}
	n.OVS, w.transactions = ovstest.CountTransactions(t, n.OVS)
	w.uplink(t)
	objects(w)
	binary, err := plugin()
	if err != nil {
		t.Fatal(err)
	}
	w.socket = filepath.Join(n.Dir, "heddle", "daemon.sock")
	w.cfg = Config{
		Kube: gocmp.Or(w.older, w.cluster.Config()), NodeName: "n1", Namespace: "kube-system", Socket: w.socket, OVSSocket: n.OVS, SouthboundAddr: n.SB,
		EncapType: "geneve", Datapath: DatapathAuto, ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")},
		JoinSubnet: "join", DNSService: "kube-system/kube-dns", MirrorLink: "mirror0", CNIConfDir: filepath.Join(n.Dir, "net.d"), CNIBinDir: filepath.Join(n.Dir, "bin"), CNIBinary: binary,
		CNIVersion: "1.1.0", MetricsAddr: "127.0.0.1:10665", HealthAddr: "127.0.0.1:10666",
	}
	if err := w.cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	w.start()
	t.Cleanup(func() { w.stop() }) // the one that runs then
	return w
}

// uplink is the node's NIC with its address; what it is connected to does not matter.
func (w *world) uplink(t testing.TB) {
	t.Helper()
	w.MustExec("", "ip", "link", "add", "nic0", "type", "veth", "peer", "name", "cable0")
	t.Cleanup(func() { w.MustExec("", "ip", "link", "del", "cable0") })
	w.MustExec("", "ip", "link", "set", "cable0", "up")
	w.MustExec("", "ip", "link", "set", "nic0", "up")
	w.MustExec("", "ip", "addr", "add", "192.0.2.11/24", "dev", "nic0")
}

// objects are what the controller has made before the daemon comes: the join network, a Subnet and their NB rows.
func (w *world) objects() {
	w.cluster.create(`
apiVersion: v1
kind: Node
metadata:
  name: n1
  annotations:
    ovn.kubernetes.io/allocated: "true"
    ovn.kubernetes.io/ip_address: 100.64.0.2
    ovn.kubernetes.io/mac_address: 0a:58:64:40:00:02
    ovn.kubernetes.io/cidr: 100.64.0.0/16
    ovn.kubernetes.io/gateway: 100.64.0.1
    ovn.kubernetes.io/logical_switch: join
    ovn.kubernetes.io/port_name: node-n1
status: {addresses: [{type: InternalIP, address: 192.0.2.11}]}
`)
	w.cluster.create("{apiVersion: kubeovn.io/v1, kind: Subnet, metadata: {name: sw}, spec: {cidrBlock: 10.16.0.0/16, gateway: 10.16.0.1, mtu: 1300}}")
	w.cluster.create("{apiVersion: kubeovn.io/v1, kind: Subnet, metadata: {name: join}, spec: {cidrBlock: 100.64.0.0/16}}")
	w.NBCtl("ls-add", "sw", "--", "ls-add", "join", "--", "lsp-add", "join", "node-n1", "--",
		"lsp-set-addresses", "node-n1", "0a:58:64:40:00:02 100.64.0.2")
}

// start runs the daemon until the whole test ends, or stop is called.
func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, w.cfg, logr.Discard()) }()
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.tb.Errorf("Run: %v", err)
		}
	}
}

// appears waits for a file by inotify(7).
func appears(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	if _, err := unix.InotifyAddWatch(fd, filepath.Dir(path), unix.IN_MOVED_TO|unix.IN_CREATE); err != nil {
		t.Fatal(err)
	}
	if err := events.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if _, err := events.Read(make([]byte, 4096)); err != nil {
			_, body := get(t, "http://127.0.0.1:10666/readyz")
			t.Fatalf("%s does not appear: %v; %s", path, err, body)
		}
	}
}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}

// pod makes a Pod on this node through the API. Without an address the test annotates it later.
func (w *world) pod(t *testing.T, name string, number int, allocated bool) *sandbox {
	t.Helper()
	o := w.cluster.create(fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: default}, spec: {nodeName: n1, containers: [{name: c, image: i}]}}`, name))
	p := port.Pod{Namespace: "default", Name: name, UID: string(o.GetUID()), MAC: fmt.Sprintf("0a:58:0a:10:00:%02x", number), IP: fmt.Sprintf("10.16.0.%d", number)}
	w.NBCtl("lsp-add", "sw", name+".default", "--", "lsp-set-addresses", name+".default", p.MAC+" "+p.IP, "--",
		"lsp-set-options", name+".default", "iface-id-ver="+p.UID)
	if allocated {
		w.allocate(p)
	}
	s := w.sandboxOf(p, "container-"+name)
	s.config = w.conflist(t)
	return s
}

func (w *world) allocate(p port.Pod) {
	w.cluster.annotate("Pod", p.Namespace, p.Name, map[string]string{
		"ovn.kubernetes.io/allocated": "true", "ovn.kubernetes.io/ip_address": p.IP, "ovn.kubernetes.io/mac_address": p.MAC,
		"ovn.kubernetes.io/cidr": "10.16.0.0/16", "ovn.kubernetes.io/gateway": "10.16.0.1", "ovn.kubernetes.io/logical_switch": "sw",
	})
}

// conflist is the configuration of our plugin as a runtime takes it out of the file.
func (w *world) conflist(t testing.TB) map[string]any {
	t.Helper()
	var list struct {
		CNIVersion, Name string
		Plugins          []map[string]any
	}
	file := filepath.Join(w.cfg.CNIConfDir, conflistName)
	appears(t, file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	conf := list.Plugins[0]
	conf["cniVersion"], conf["name"], conf["timeout"] = list.CNIVersion, list.Name, 20
	return conf
}

// TestRun follows a node through its life.
func TestRun(t *testing.T) {
	w := newWorld(t)
	first := w.pod(t, "first", 11, true)
	first.must("STATUS")
	first.must("ADD")
	first.must("CHECK")
	if addr := w.MustExec(first.netns, "ip", "link", "show", "eth0"); !strings.Contains(addr, "mtu 1300") {
		t.Errorf("not the Subnet's MTU: %s", addr)
	}
	w.cluster.until("Node", "", "n1", annotation("ovn.kubernetes.io/chassis", w.externalID("system-id")))
	w.installed(t)

	t.Run("asked at once", func(t *testing.T) {
		s := w.pod(t, "later", 12, false)
		done := make(chan error)
		go func() { _, err := s.run("ADD"); done <- err }()
		w.allocate(s.pod)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Run("settings come back", func(*testing.T) {
		w.VSCtl("remove", "Open_vSwitch", ".", "external_ids", "ovn-remote")
		w.VSCtl("wait-until", "Open_vSwitch", ".", `external_ids:ovn-remote="`+w.SB+`"`)
	})
	t.Run("a restart changes nothing", func(t *testing.T) {
		before := w.state(t)
		w.stop()
		sent := w.transactions.Load()
		w.start()
		first.awaitStatus(t, "<nil>")
		if n := w.transactions.Load() - sent; n != 0 {
			t.Errorf("%d transactions", n)
		}
		if after := w.state(t); after != before {
			t.Error(cmp.Diff(before, after))
		}
		first.must("CHECK")
	})
	t.Run("no API server", func(t *testing.T) {
		s := w.pod(t, "third", 13, true)
		s.must("ADD")
		w.cluster.Kill("kube-apiserver")
		s.must("CHECK")
		s.must("DEL")
		w.stop()
		w.start()
		appears(t, w.socket)
		s.must("DEL")
		first.must("DEL")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.cluster.Restart(ctx, "kube-apiserver"); err != nil {
			t.Fatal(err)
		}
		first.must("ADD") // waits until the Pod is known again
	})
	t.Run("OVS restarts", func(t *testing.T) {
		first.awaitStatus(t, "<nil>")
		w.Kill(node.OVSDB)
		first.awaitStatus(t, "code 50: this node's network is not ready: ovs: the Open_vSwitch database does not answer")
		w.StartProcess(node.OVSDB)
		w.Restart(node.VSwitchd)
		w.Restart(node.Controller)
		w.pod(t, "fourth", 14, true).must("ADD")
		first.awaitStatus(t, "<nil>")
		first.must("CHECK")
	})
}

// installed looks at the files on the node.
func (w *world) installed(t *testing.T) {
	t.Helper()
	for path, want := range map[string]os.FileMode{
		filepath.Join(w.cfg.CNIConfDir, conflistName): 0o600, filepath.Join(w.cfg.CNIBinDir, pluginName): 0o755, w.socket: 0o600,
	} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	want := map[string]string{
		"ovn-remote": w.SB, "ovn-encap-type": "geneve", "ovn-encap-ip": "192.0.2.11", "ovn-bridge-datapath-type": "netdev", "ovn-monitor-all": "true",
	}
	for key, value := range want {
		if got := w.externalID(key); got != value {
			t.Errorf("external_ids:%s is %q, want %q", key, got, value)
		}
	}
	if got := w.VSCtl("get", "Bridge", "br-int", "datapath_type", "fail_mode"); got != "netdev\nsecure" {
		t.Errorf("br-int: %q", got)
	}
	if code, body := get(t, "http://127.0.0.1:10666/readyz"); code != http.StatusOK {
		t.Errorf("readyz: %s", body)
	}
	if _, body := get(t, "http://127.0.0.1:10665/metrics"); !strings.Contains(body, `heddle_cni_part_seconds_count{command="ADD",part="ovn-installed"} 1`) {
		t.Errorf("metrics:\n%s", body)
	}
}

func (w *world) externalID(key string) string {
	return strings.Trim(w.VSCtl("get", "Open_vSwitch", ".", "external_ids:"+key), `"`)
}

// state is all that the daemon may touch: the database, and links, addresses and routes of node and Pod.
func (w *world) state(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, table := range []string{"Open_vSwitch", "Bridge", "Port", "Interface"} {
		columns := map[string]string{
			"Open_vSwitch": "bridges,external_ids", "Bridge": "name,ports,datapath_type,fail_mode,other_config,external_ids",
			"Port": "name,interfaces,external_ids", "Interface": "_uuid,name,type,mac,mtu_request,external_ids,ofport",
		}[table]
		out.WriteString(w.VSCtl("--format=csv", "--columns="+columns, "list", table) + "\n")
	}
	for _, args := range []string{"-o link", "-o addr", "route show table all", "-6 route show table all"} {
		for line := range strings.Lines(w.MustExec("", "ip", strings.Fields(args)...)) {
			if !strings.Contains(line, "fe80:") { // the kernel's own, which it takes its time for
				out.WriteString(line)
			}
		}
	}
	return out.String()
}

// awaitStatus asks for STATUS, as a runtime does, until the answer is as wanted.
func (s *sandbox) awaitStatus(t *testing.T, want string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, err := s.run("STATUS")
		if fmt.Sprint(err) == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("STATUS: %v, want %s", err, want)
		}
	}
}
