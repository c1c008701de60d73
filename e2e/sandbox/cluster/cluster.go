package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/heddle-net/heddle/e2e/sandbox/controlplane"
	"github.com/heddle-net/heddle/e2e/sandbox/fabric"
	"github.com/heddle-net/heddle/e2e/sandbox/machine"
)

// DefaultName is the sandbox of those who do not choose a name.
const DefaultName = "default"

// Names of the machines that every sandbox has. Nodes are named heddle-1, heddle-2, …; outside hosts outside-1, ….
const (
	router        = "router"
	control       = "control"
	nodePrefix    = "heddle-"
	outsidePrefix = "outside-"
)

// APIServerPort is the port of kube-apiserver in the nodes' network.
const APIServerPort = 6443

// The Services' addresses, one range of each family, and the DNS server's addresses in these.
const (
	ServiceCIDRv4 = "10.96.0.0/16"
	ServiceCIDRv6 = "fd00:10:96::/112"

	// NodeLocalDNSv4 and NodeLocalDNSv6 are for a DNS server on each node; none runs until somebody makes one.
	NodeLocalDNSv4 = "169.254.20.10"
	NodeLocalDNSv6 = "fd00:10:254::10"
	clusterDNSv4   = "10.96.0.10"
	clusterDNSv6   = "fd00:10:96::a"
)

// The default Subnet and the nodes' join Subnet: those of the chart, and as much of IPv6.
const (
	podCIDRv4  = "10.16.0.0/16"
	podCIDRv6  = "fd00:10:16::/112"
	joinCIDRv4 = "100.64.0.0/16"
	joinCIDRv6 = "fd00:100:64::/112"
)

// Cluster is a sandbox.
type Cluster struct {
	Name string
	dir  string
	facts
}

// facts is what sandbox.json holds.
type facts struct {
	Repository string   // folder that .sandbox is in
	Port       int      // of kube-apiserver on the host's 127.0.0.1
	Images     []string // archives that are loaded on every node
}

var validName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$`)

// locate returns a sandbox by name, whether it exists or not.
func locate(name string) (*Cluster, error) {
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("%q is no name for a sandbox: up to 32 of a-z, 0-9 and - are", name)
	}
	base := os.Getenv("XDG_STATE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("no folder for the sandbox's state: %w", err)
		}
		base = filepath.Join(home, ".local", "state")
	}
	return &Cluster{Name: name, dir: filepath.Join(base, "heddle", "sandbox", name)}, nil
}

// Open returns a sandbox that was made before.
func Open(name string) (*Cluster, error) {
	c, err := locate(name)
	if err != nil {
		return nil, err
	}
	if err := c.readFacts(); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no sandbox %q: `make sandbox` makes one", name)
	} else if err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Cluster) factsFile() string { return filepath.Join(c.dir, "sandbox.json") }

func (c *Cluster) readFacts() error {
	data, err := os.ReadFile(c.factsFile())
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &c.facts); err != nil {
		return fmt.Errorf("%s: %w", c.factsFile(), err)
	}
	return nil
}

func (c *Cluster) writeFacts() error {
	data, err := json.Marshal(c.facts)
	if err != nil {
		return err
	}
	// By a rename, so that down can read it after a crash.
	if err := os.WriteFile(c.factsFile()+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(c.factsFile()+".new", c.factsFile())
}

// Dir is the sandbox's folder, where the logs are.
func (c *Cluster) Dir() string { return c.dir }

// Kubeconfig is the path of the administrator's kubeconfig, for use on the host.
func (c *Cluster) Kubeconfig() string {
	if c.Name == DefaultName {
		return filepath.Join(c.Repository, ".sandbox", "kubeconfig")
	}
	return filepath.Join(c.Repository, ".sandbox", "kubeconfig-"+c.Name)
}

// Config is the administrator's, without a limit of requests per second.
func (c *Cluster) Config() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("sandbox %s: %w", c.Name, err)
	}
	config.QPS = -1
	return config, nil
}

func (c *Cluster) machineDir(name string) string { return filepath.Join(c.dir, "machines", name) }

func (c *Cluster) cgroup() string { return "heddle-sandbox-" + c.Name }

func (c *Cluster) program() string { return filepath.Join(c.dir, "bin", "sandbox") }

// Machine returns a machine by name: a node, "control", "router" or an outside host.
func (c *Cluster) Machine(name string) (*machine.Machine, error) {
	m, err := machine.Open(c.machineDir(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("sandbox %s has no machine %q, but %s", c.Name, name, strings.Join(c.machineNames(), ", "))
	}
	return m, err
}

// machines are all that were made, alive or not, and also those whose making was interrupted.
func (c *Cluster) machineNames() []string {
	entries, _ := os.ReadDir(filepath.Join(c.dir, "machines")) // none if there is no such folder
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.SortFunc(names, compareNames)
	return names
}

// compareNames sorts heddle-2 before heddle-10.
func compareNames(a, b string) int {
	if len(a) != len(b) && strings.TrimRight(a, "0123456789") == strings.TrimRight(b, "0123456789") {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func (c *Cluster) withPrefix(prefix string) []string {
	return slices.DeleteFunc(c.machineNames(), func(name string) bool { return !strings.HasPrefix(name, prefix) })
}

// Nodes are the names of the nodes.
func (c *Cluster) Nodes() []string { return c.withPrefix(nodePrefix) }

// OutsideHosts are the names of the hosts outside.
func (c *Cluster) OutsideHosts() []string { return c.withPrefix(outsidePrefix) }

// Control is the machine of the control plane, Router the one between the networks.
func (c *Cluster) Control() (*machine.Machine, error) { return c.Machine(control) }

// Router routes between the nodes and the outside hosts. It knows no route to Pods.
func (c *Cluster) Router() (*machine.Machine, error) { return c.Machine(router) }

// Addresses of a machine, IPv4 first, without the prefix length.
func (c *Cluster) Addresses(name string) ([]netip.Addr, error) {
	network, host, err := place(name)
	if err != nil {
		return nil, err
	}
	var list []netip.Addr
	for _, a := range network.Addresses(host) {
		list = append(list, a.Addr())
	}
	return list, nil
}

// place says where in the fabric a machine is, which follows from its name.
func place(name string) (fabric.Network, int, error) {
	switch name {
	case router:
		return fabric.Nodes, fabric.RouterHost, nil
	case control:
		return fabric.Nodes, fabric.ControlHost, nil
	}
	for prefix, network := range map[string]fabric.Network{nodePrefix: fabric.Nodes, outsidePrefix: fabric.Outside} {
		number, found := strings.CutPrefix(name, prefix)
		if !found {
			continue
		}
		n, err := parseNumber(number)
		if err != nil {
			break
		}
		host, err := fabric.Numbered(n)
		return network, host, err
	}
	return fabric.Network{}, 0, fmt.Errorf("%q is no name for a machine", name)
}

func parseNumber(s string) (int, error) {
	var n int
	if _, err := fmt.Sscanf(s, "%d", &n); err != nil || fmt.Sprint(n) != s {
		return 0, fmt.Errorf("%q is no number", s)
	}
	return n, nil
}

// settings of the control plane.
func (c *Cluster) settings() *controlplane.Settings {
	address := fabric.Nodes.Addresses(fabric.ControlHost)[0].Addr()
	return &controlplane.Settings{
		Dir: filepath.Join(c.dir, control), Address: address, Port: APIServerPort,
		ServiceCIDRs: []string{ServiceCIDRv4, ServiceCIDRv6}, Controllers: true, Scheduler: true,
	}
}
