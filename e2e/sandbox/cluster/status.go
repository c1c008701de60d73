package cluster

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// PrintStatus lists the machines.
func (c *Cluster) PrintStatus(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MACHINE\tSTATE\tADDRESSES\tLOGS")
	for _, name := range c.machineNames() {
		m, err := c.Machine(name)
		state := "running"
		if err != nil || !m.Alive() {
			state = "dead"
		}
		addresses, err := c.Addresses(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%s\t%v\t%s\n", name, state, addresses, c.logDir(name))
	}
	return t.Flush()
}
