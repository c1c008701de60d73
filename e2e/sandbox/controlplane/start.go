package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"k8s.io/client-go/rest"

	"github.com/heddle-net/heddle/e2e/sandbox/process"
)

// Options of a control plane of one's own. The zero value is etcd and kube-apiserver in a
// temporary folder.
type Options struct {
	Dir           string   // kept after Stop; empty: a temporary folder, removed by Stop
	Controllers   bool     // run kube-controller-manager too
	Scheduler     bool     // run kube-scheduler too
	ServiceCIDRs  []string // default 10.96.0.0/16
	APIServerArgs []string // added to kube-apiserver's flags
}

// ControlPlane is a running control plane that ends with this process.
type ControlPlane struct {
	settings Settings
	config   *rest.Config
	procs    []*process.Process
	port     *heldPort
	scratch  *scratch
}

// Start starts a control plane and returns when it answers. It ends by Stop, or when this
// process ends in any way.
func Start(ctx context.Context, o Options) (*ControlPlane, error) {
	c := &ControlPlane{}
	if err := c.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("control plane: %w", err), c.Stop())
	}
	return c, nil
}

func (c *ControlPlane) start(ctx context.Context, o Options) error {
	if err := c.place(o); err != nil {
		return err
	}
	if err := c.settings.Prepare(); err != nil {
		return err
	}
	services, err := c.settings.Services()
	if err != nil {
		return err
	}
	for _, spec := range services {
		p, err := process.Start(spec)
		if err != nil {
			return err
		}
		c.procs = append(c.procs, p)
	}
	if c.config, err = c.settings.restConfig(); err != nil {
		return err
	}
	return c.wait(ctx)
}

// place chooses folder and port.
func (c *ControlPlane) place(o Options) (err error) {
	dir := o.Dir
	if dir == "" {
		if c.scratch, err = newScratch(); err != nil {
			return err
		}
		dir = c.scratch.dir
	}
	if c.port, err = holdPort(); err != nil {
		return err
	}
	c.settings = Settings{
		Dir: dir, Address: netip.MustParseAddr("127.0.0.1"), Port: c.port.number,
		ServiceCIDRs: o.ServiceCIDRs, Controllers: o.Controllers, Scheduler: o.Scheduler, ExtraArgs: o.APIServerArgs,
	}
	if len(c.settings.ServiceCIDRs) == 0 {
		c.settings.ServiceCIDRs = []string{"10.96.0.0/16"}
	}
	return nil
}

// Config is the administrator's, without a limit of requests per second. It is a copy.
func (c *ControlPlane) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *ControlPlane) Kubeconfig() string { return c.settings.Kubeconfig() }

// Dir is the folder of the control plane, where the logs are.
func (c *ControlPlane) Dir() string { return c.settings.Dir }

// PID is the number of the process of that name ("etcd", "kube-apiserver", …), 0 if there is none.
func (c *ControlPlane) PID(name string) int {
	if i := c.index(name); i >= 0 {
		return c.procs[i].PID()
	}
	return 0
}

// Kill ends a program at once, as kill -9 does, and returns when it is gone.
func (c *ControlPlane) Kill(name string) {
	if i := c.index(name); i >= 0 {
		c.procs[i].Kill()
	}
}

// Restart kills a program, starts it again, and returns when the control plane answers.
func (c *ControlPlane) Restart(ctx context.Context, name string) error {
	i := c.index(name)
	if i < 0 {
		return fmt.Errorf("control plane: no program %s", name)
	}
	c.procs[i].Kill()
	p, err := process.Start(c.procs[i].Spec)
	if err != nil {
		return fmt.Errorf("control plane: %w", err)
	}
	c.procs[i] = p
	return c.wait(ctx)
}

func (c *ControlPlane) index(name string) int {
	for i, p := range c.procs {
		if p.Spec.Name == name {
			return i
		}
	}
	return -1
}

// Stop ends all programs. They are killed: kube-apiserver waits for open watches when it is
// asked to end, and nobody reads the data again. A second Stop does nothing.
func (c *ControlPlane) Stop() error {
	for i := len(c.procs) - 1; i >= 0; i-- {
		c.procs[i].Kill()
	}
	err := errors.Join(c.port.release(), c.scratch.remove())
	c.procs, c.port, c.scratch = nil, nil, nil
	return err
}
