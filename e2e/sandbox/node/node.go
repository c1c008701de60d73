package node

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/heddle-net/heddle/e2e/sandbox/build"
	"github.com/heddle-net/heddle/e2e/sandbox/controlplane"
	"github.com/heddle-net/heddle/e2e/sandbox/fabric"
	"github.com/heddle-net/heddle/e2e/sandbox/machine"
	"github.com/heddle-net/heddle/e2e/sandbox/pki"
	"github.com/heddle-net/heddle/e2e/sandbox/process"
)

//go:embed files
var files embed.FS

// containerd is Debian's.
const containerd = "/usr/bin/containerd"

// etc is the node's configuration, inside.
const etc = "/etc/kubernetes"

// folders of the machine's folder and where they are inside. They begin empty, whatever the host has there: it may have an Open
// vSwitch or a containerd of its own.
var folders = map[string]string{
	"log": "/var/log",
	// Real file systems: containerd's overlays cannot lie on the machine's.
	"containerd": "/var/lib/containerd", "kubelet": "/var/lib/kubelet",
	"opt-cni": "/opt/cni", "etc-cni": "/etc/cni",
	"etc-openvswitch": "/etc/openvswitch", "lib-openvswitch": "/var/lib/openvswitch",
	"etc-ovn": "/etc/ovn", "lib-ovn": "/var/lib/ovn", "lib-heddle": "/var/lib/heddle",
}

// Node is what differs between nodes.
type Node struct {
	Name       string
	Dir        string // the machine's folder
	Cgroup     string
	Host       int    // number in fabric.Nodes
	Server     string // URL of kube-apiserver, as seen from the node
	ClusterDNS []string
	PauseImage string
}

// Configure writes the node's files and returns its machine, ready to be started.
func (n Node) Configure(control *controlplane.Settings) (machine.Config, error) {
	if err := n.credentials(control); err != nil {
		return machine.Config{}, fmt.Errorf("node %s: %w", n.Name, err)
	}
	for _, name := range []string{"containerd.toml", "kubelet.yaml"} {
		if err := n.render(name); err != nil {
			return machine.Config{}, fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	config, err := n.machine()
	if err != nil {
		return machine.Config{}, fmt.Errorf("node %s: %w", n.Name, err)
	}
	return config, nil
}

func (n Node) etcDir() string { return filepath.Join(n.Dir, "etc") }

// credentials makes the node's certificates by the control plane's authority: one for both directions.
func (n Node) credentials(control *controlplane.Settings) error {
	if err := os.MkdirAll(n.etcDir(), 0o755); err != nil {
		return err
	}
	user := "kubelet-" + n.Name
	hosts := []string{n.Name}
	for _, address := range fabric.Nodes.Addresses(n.Host) {
		hosts = append(hosts, address.Addr().String())
	}
	authority := control.Authority()
	request := pki.Request{Name: user, CommonName: "system:node:" + n.Name, Organizations: []string{"system:nodes"}, Hosts: hosts}
	if err := authority.Issue(request); err != nil {
		return err
	}
	for to, from := range map[string]string{
		"ca.crt": authority.CertFile("ca"), "kubelet.crt": authority.CertFile(user), "kubelet.key": authority.KeyFile(user),
	} {
		if err := copyFile(from, filepath.Join(n.etcDir(), to), 0o600); err != nil {
			return err
		}
	}
	return control.WriteKubeconfig(filepath.Join(n.etcDir(), "kubelet.kubeconfig"), n.Server, user)
}

func (n Node) render(name string) error {
	text, err := files.ReadFile("files/" + name)
	if err != nil {
		return err
	}
	t, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, n); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(n.etcDir(), name), out.Bytes(), 0o600)
}

func (n Node) machine() (machine.Config, error) {
	programs, err := build.KubernetesDir()
	if err != nil {
		return machine.Config{}, err
	}
	c := machine.Config{
		Name: n.Name, Dir: n.Dir, Cgroup: n.Cgroup,
		Sysctls: fabric.NodeSysctls(),
		// kubelet sets these to what it likes; they are the host's.
		PrivateSysctls: []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"},
		Services:       n.services(programs),
		Binds: []machine.Bind{
			{Source: programs, Target: programs, ReadOnly: true},
			{Source: n.etcDir(), Target: etc},
		},
	}
	for folder, target := range folders {
		source := filepath.Join(n.Dir, folder)
		if err := os.MkdirAll(source, 0o755); err != nil {
			return c, err
		}
		c.Binds = append(c.Binds, machine.Bind{Source: source, Target: target})
	}
	return c, nil
}

func (n Node) services(programs string) []process.Spec {
	var addresses []string
	for _, a := range fabric.Nodes.Addresses(n.Host) {
		addresses = append(addresses, a.Addr().String())
	}
	return []process.Spec{
		{Name: "containerd", Args: []string{containerd, "--config=" + etc + "/containerd.toml"}},
		{Name: "kubelet", Args: []string{
			filepath.Join(programs, "kubelet"),
			"--config=" + etc + "/kubelet.yaml",
			"--kubeconfig=" + etc + "/kubelet.kubeconfig",
			"--hostname-override=" + n.Name,
			"--node-ip=" + strings.Join(addresses, ","),
		}},
	}
}

// InstallPlugins copies CNI plugins into the node's /opt/cni/bin.
func (n Node) InstallPlugins(plugins ...string) error {
	bin := filepath.Join(n.Dir, "opt-cni", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	for _, plugin := range plugins {
		if err := copyFile(plugin, filepath.Join(bin, filepath.Base(plugin)), 0o755); err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	return nil
}

func copyFile(from, to string, mode os.FileMode) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, mode)
}
