package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/heddle-net/heddle/e2e/sandbox/machine"
	"github.com/heddle-net/heddle/e2e/sandbox/progress"
)

// Down removes a sandbox and all that is left of one. That there is none is no error.
func Down(name string, p *progress.Printer) error {
	c, err := locate(name)
	if err != nil {
		return err
	}
	if _, err := os.Stat(c.dir); isMissing(err) {
		p.Print("there is no sandbox %q\n", name)
		return nil
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return p.Step("remove the sandbox "+name, func(func(string)) error { return c.remove() })
}

// remove ends the machines, and removes the kubeconfig and the folder, in this order: what names the rest goes last.
func (c *Cluster) remove() error {
	if err := c.clear(); err != nil {
		return err
	}
	if err := c.readFacts(); err == nil {
		if err := os.Remove(c.Kubeconfig()); err != nil && !isMissing(err) {
			return err
		}
		_ = os.Remove(filepath.Dir(c.Kubeconfig())) // fails while another sandbox has a kubeconfig there
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove sandbox %s: %w", c.Name, err)
	}
	return nil
}

// clear ends the machines, and removes what they left.
func (c *Cluster) clear() error {
	var group errgroup.Group
	for _, name := range c.machineNames() {
		group.Go(func() error { return c.clearMachine(name) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("remove sandbox %s: %w", c.Name, err)
	}
	return errors.Join(machine.RemoveCgroup(c.cgroup()), os.RemoveAll(filepath.Join(c.dir, control)))
}

func (c *Cluster) clearMachine(name string) error {
	m, err := machine.Open(c.machineDir(name))
	if isMissing(err) {
		// Its start was interrupted before there was a process.
		return os.RemoveAll(c.machineDir(name))
	}
	if err != nil {
		return err
	}
	return m.Remove()
}
