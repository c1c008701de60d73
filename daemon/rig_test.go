package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/daemon/port"
	"github.com/heddle-net/heddle/ovs/ovstest/node"
	"github.com/heddle-net/heddle/ovs/vswitch"
)

func TestMain(m *testing.M) { node.Main(m) }

// rig is a node with the CNI half of the daemon: everything but Kubernetes, whose place the tables take.
type rig struct {
	*node.Node
	tb         testing.TB
	ovs        *vswitch.Client
	manager    *port.Manager
	pods       port.Pods
	subnets    port.Table[port.Subnet]
	namespaces port.Table[v1.QoS]
	shaped     names
	socket     string
	ready      error // what STATUS is told

	transactions *atomic.Int64 // sent to OVS, where they are counted
	parts        partTimes
}

// names are those that were told, in order.
type names struct {
	mu   sync.Mutex
	list []string
}

func (n *names) add(p port.Pod, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, strings.TrimSuffix(fmt.Sprintf("%s: %v", p.Name, err), ": <nil>"))
}

// take forgets them.
func (n *names) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.list
	n.list = nil
	return list
}

// partTimes sums what the manager observes.
type partTimes struct {
	mu    sync.Mutex
	times map[string][]time.Duration
}

func (p *partTimes) add(verb, part string, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times[verb+" "+part] = append(p.times[verb+" "+part], took)
}

func newRig(tb testing.TB) *rig {
	tb.Helper()
	return newRigOn(tb, node.Start(tb, node.Options{}))
}

func newRigOn(tb testing.TB, n *node.Node) *rig {
	tb.Helper()
	r := &rig{Node: n, tb: tb, parts: partTimes{times: map[string][]time.Duration{}}}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var err error
	if r.ovs, err = vswitch.Connect(ctx, vswitch.Config{Endpoint: r.OVS}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.ovs.Close)
	m := newMetrics(prometheus.NewRegistry())
	observe := func(verb, part string, took time.Duration) { m.part(verb, part, took); r.parts.add(verb, part, took) }
	r.manager = r.managerThat(observe)
	r.serve(handler(r.manager, func() error { return r.ready }, m))
	r.subnets.Put("sw", port.Subnet{Name: "sw"})
	r.NBCtl("ls-add", "sw")
	return r
}

func (r *rig) managerThat(observe func(verb, part string, took time.Duration)) *port.Manager {
	r.tb.Helper()
	m, err := port.New(port.Config{
		OVS: r.ovs, Bridge: "br-int", Pods: &r.pods, Subnets: &r.subnets, Namespaces: &r.namespaces, SoftwareChecksums: !node.Kernel(), Shaped: r.shaped.add,
		MTU: func(context.Context) (int, error) { return 1400, nil }, Observe: observe,
	})
	if err != nil {
		r.tb.Fatal(err)
	}
	return m
}

// in is In for the whole rig.
func (r *rig) in(t *testing.T) {
	outer := r.tb
	r.tb = t
	t.Cleanup(func() { r.tb = outer })
	r.In(t)
}

func (r *rig) serve(h Handler) {
	r.tb.Helper()
	r.socket = filepath.Join(r.Dir, "heddle", "daemon.sock")
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{Socket: r.socket, Handler: h, Grace: time.Second}
	l, err := listen(s.Socket)
	if err != nil {
		r.tb.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.run(ctx, l) }()
	r.tb.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			r.tb.Error(err)
		}
	})
}

// plugin builds the plugin once.
var plugin = sync.OnceValues(func() (string, error) {
	if built := os.Getenv("HEDDLE_TEST_CNI"); built != "" { // where there is no Go
		return built, nil
	}
	dir, err := os.MkdirTemp("", "heddle-cni-")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "heddle")
	cmd := exec.Command("go", "build", "-o", out, "github.com/heddle-net/heddle/cmd/heddle-cni")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, text)
	}
	return out, nil
})

// sandbox is one container of one Pod, as a runtime sees it.
type sandbox struct {
	rig       *rig
	pod       port.Pod
	id, netns string
	config    map[string]any
}

// pod allocates addresses for a Pod, as the controller does, and makes its port in NB.
func (r *rig) pod(name, ips, cidr, gateway string, number int) *sandbox {
	r.tb.Helper()
	p := port.Pod{
		Namespace: "default", Name: name, UID: fmt.Sprintf("uid-%s-%d", name, number), Allocated: true, Subnet: "sw",
		IP: ips, CIDR: cidr, Gateway: gateway, MAC: fmt.Sprintf("0a:58:0a:10:00:%02x", number),
	}
	r.NBCtl("--may-exist", "lsp-add", "sw", name+".default", "--", "lsp-set-addresses", name+".default",
		p.MAC+" "+strings.ReplaceAll(ips, ",", " "), "--", "lsp-set-options", name+".default", "iface-id-ver="+p.UID)
	r.pods.Put(p.Key(), p)
	return r.sandboxOf(p, fmt.Sprintf("container-%s-%d", name, number))
}

func (r *rig) sandboxOf(p port.Pod, id string) *sandbox {
	r.tb.Helper()
	s := &sandbox{rig: r, pod: p, id: id, netns: r.NewNetNS()}
	s.config = map[string]any{"cniVersion": "1.1.0", "name": "heddle", "type": "heddle", "server_socket": r.socket, "timeout": 20}
	r.tb.Cleanup(func() {
		if _, err := s.run("DEL"); err != nil {
			r.tb.Errorf("DEL of %s: %v", s.id, err)
		}
	})
	return s
}

func (r *rig) web(number int) *sandbox {
	r.tb.Helper()
	return r.pod("web", fmt.Sprintf("10.16.0.%d", number), "10.16.0.0/16", "10.16.0.1", number)
}

// cniError is what a plugin prints when it fails.
type cniError struct {
	Code int    `json:"code"`
	Msg  string `json:"msg"`
}

func (e *cniError) Error() string { return fmt.Sprintf("code %d: %s", e.Code, e.Msg) }

// command is the plugin as a runtime starts it.
func (s *sandbox) command(command string) *exec.Cmd {
	binary, err := plugin()
	if err != nil {
		s.rig.tb.Fatal(err)
	}
	config, err := json.Marshal(s.config)
	if err != nil {
		s.rig.tb.Fatal(err)
	}
	cmd := exec.Command(binary)
	cmd.Stdin = strings.NewReader(string(config))
	cmd.Env = []string{
		"CNI_COMMAND=" + command, "CNI_CONTAINERID=" + s.id, "CNI_NETNS=" + s.netns, "CNI_IFNAME=eth0", "CNI_PATH=/opt/cni/bin",
		fmt.Sprintf("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;K8S_POD_INFRA_CONTAINER_ID=%s;K8S_POD_UID=%s",
			s.pod.Namespace, s.pod.Name, s.id, s.pod.UID),
	}
	return cmd
}

func (s *sandbox) run(command string) ([]byte, error) {
	return output(s.command(command))
}

// output is what the plugin prints, or its error.
func output(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	e := &cniError{}
	if json.Unmarshal(out, e) != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return nil, e
}

func (s *sandbox) must(command string) []byte {
	s.rig.tb.Helper()
	out, err := s.run(command)
	if err != nil {
		s.rig.tb.Fatalf("%s of %s: %v", command, s.id, err)
	}
	if command == "ADD" {
		s.config["prevResult"] = json.RawMessage(out)
	}
	return out
}

// fails runs a command and compares the error with what a user must see.
func (s *sandbox) fails(command string, code int, msg string) {
	s.rig.tb.Helper()
	_, err := s.run(command)
	var e *cniError
	if !errors.As(err, &e) || e.Code != code || e.Msg != msg {
		s.rig.tb.Errorf("%s of %s:\n got %v\nwant code %d: %s", command, s.id, err, code, msg)
	}
}

// leftovers lists the veths and the ports of containers on the node.
func (r *rig) leftovers() []string {
	r.tb.Helper()
	var out []string
	links, err := r.Exec("", "ip", "-o", "link", "show", "type", "veth")
	if err != nil {
		r.tb.Fatal(err)
	}
	for line := range strings.Lines(links) {
		out = append(out, "link "+strings.Fields(line)[1])
	}
	for name := range strings.FieldsSeq(r.VSCtl("--bare", "--columns=name", "find", "Interface", "external_ids:vendor=heddle")) {
		out = append(out, "port "+name)
	}
	return out
}
