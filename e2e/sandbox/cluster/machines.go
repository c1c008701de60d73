package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/heddle-net/heddle/e2e/sandbox/build"
	"github.com/heddle-net/heddle/e2e/sandbox/controlplane"
	"github.com/heddle-net/heddle/e2e/sandbox/fabric"
	"github.com/heddle-net/heddle/e2e/sandbox/image"
	"github.com/heddle-net/heddle/e2e/sandbox/machine"
	"github.com/heddle-net/heddle/e2e/sandbox/node"
)

// start starts a machine and plugs it in. listener is handed to it, or nil.
func (c *Cluster) start(config machine.Config, listener *net.TCPListener) error {
	_, err := machine.Start(c.program(), config, listener, func(m *machine.Machine) error { return c.plug(m) })
	return err
}

func (c *Cluster) plug(m *machine.Machine) error {
	if m.Config.Name == router {
		return fabric.MakeRouter(m.NetNS())
	}
	r, err := c.Router()
	if err != nil {
		return err
	}
	network, host, err := place(m.Config.Name)
	if err != nil {
		return err
	}
	return fabric.Plug(r.NetNS(), m.NetNS(), m.Config.Name, network, host)
}

// host is a machine without services. Kubernetes' programs are there, agnhost among them.
func (c *Cluster) host(name string, sysctls []machine.Sysctl) (machine.Config, error) {
	programs, err := build.KubernetesDir()
	if err != nil {
		return machine.Config{}, err
	}
	return machine.Config{
		Name: name, Dir: c.machineDir(name), Cgroup: c.cgroup() + "/" + name, Sysctls: sysctls,
		Binds: []machine.Bind{
			{Source: c.logDir(name), Target: "/var/log"},
			{Source: programs, Target: programs, ReadOnly: true},
		},
	}, nil
}

func (c *Cluster) startRouter() error {
	config, err := c.host(router, fabric.NodeSysctls())
	if err != nil {
		return err
	}
	return c.start(config, nil)
}

// startControl starts the control plane's machine, with kube-apiserver on a port of the host's loopback.
func (c *Cluster) startControl(ctx context.Context) error {
	settings := c.settings()
	if err := settings.Prepare(); err != nil {
		return err
	}
	listener, err := c.listen()
	if err != nil {
		return err
	}
	defer listener.Close()
	config, err := c.controlMachine(settings)
	if err != nil {
		return err
	}
	if err := c.start(config, listener); err != nil {
		return err
	}
	if err := c.writeKubeconfig(settings); err != nil {
		return err
	}
	return c.WaitAPIServer(ctx)
}

func (c *Cluster) controlMachine(settings *controlplane.Settings) (machine.Config, error) {
	services, err := settings.Services()
	if err != nil {
		return machine.Config{}, err
	}
	config, err := c.host(control, fabric.HostSysctls())
	if err != nil {
		return machine.Config{}, err
	}
	config.Services = services
	config.Forward = fmt.Sprintf("%s:%d", settings.Address, settings.Port)
	config.Binds = append(config.Binds, machine.Bind{Source: settings.Dir, Target: settings.Dir})
	return config, nil
}

// listen opens the host's end of kube-apiserver's port, and notes it in sandbox.json.
func (c *Cluster) listen() (*net.TCPListener, error) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("port for kube-apiserver: %w", err)
	}
	c.Port = listener.Addr().(*net.TCPAddr).Port
	if err := c.writeFacts(); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

func (c *Cluster) writeKubeconfig(settings *controlplane.Settings) error {
	if err := os.MkdirAll(filepath.Dir(c.Kubeconfig()), 0o700); err != nil {
		return err
	}
	return settings.WriteKubeconfig(c.Kubeconfig(), fmt.Sprintf("https://127.0.0.1:%d", c.Port), "admin")
}

// WaitAPIServer returns when kube-apiserver is usable.
func (c *Cluster) WaitAPIServer(ctx context.Context) error {
	config, err := c.Config()
	if err != nil {
		return err
	}
	if err := controlplane.WaitReady(ctx, config); err != nil {
		return fmt.Errorf("%w; see %s", err, filepath.Join(c.logDir(control), "kube-apiserver.log"))
	}
	return nil
}

// startNode starts a node; it registers itself.
func (c *Cluster) startNode(name string, plugins []string) error {
	_, host, err := place(name)
	if err != nil {
		return err
	}
	settings := c.settings()
	if err := settings.OpenAuthority(); err != nil {
		return err
	}
	n := node.Node{
		Name: name, Dir: c.machineDir(name), Cgroup: c.cgroup() + "/" + name, Host: host,
		Server: settings.Server(), ClusterDNS: []string{clusterDNSv4, clusterDNSv6}, PauseImage: image.PauseName,
	}
	config, err := n.Configure(settings)
	if err != nil {
		return err
	}
	if err := n.InstallPlugins(plugins...); err != nil {
		return err
	}
	return c.start(config, nil)
}

// AddOutsideHost starts the next outside host and returns its name.
func (c *Cluster) AddOutsideHost() (string, error) {
	name := c.next(outsidePrefix)
	config, err := c.host(name, fabric.HostSysctls())
	if err != nil {
		return "", err
	}
	return name, c.start(config, nil)
}

// next is the first number that is free.
func (c *Cluster) next(prefix string) string {
	taken := map[string]bool{}
	for _, name := range c.withPrefix(prefix) {
		taken[name] = true
	}
	for n := 1; ; n++ {
		if name := fmt.Sprint(prefix, n); !taken[name] {
			return name
		}
	}
}
