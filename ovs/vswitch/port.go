package vswitch

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Port is a port with its one interface, both of the same name.
type Port struct {
	Bridge string
	Name   string
	// Type is the interface's: empty for a device of the system, "internal" for one that OVS makes.
	Type string
	// MAC counts for internal interfaces only.
	MAC string
	// MTU is requested from OVS, which sets it on the device. 0 leaves the device's own.
	MTU     int
	Options map[string]string
	// OwnQdiscs has ovs-vswitchd leave the qdiscs of the port alone.
	OwnQdiscs bool
	// ExternalIDs go to the interface; KeyVendor is added.
	ExternalIDs map[string]string
}

// AddPort puts a new port on its bridge, in one transaction. Rows in its way go in the same transaction: a port of
// the same name, and every port that claims the same iface-id (the sandbox of a Pod that came before).
func (c *Client) AddPort(ctx context.Context, p Port) error {
	err := c.commit(ctx, func(ctx context.Context) ([]ovsdb.Operation, error) { return c.addPort(ctx, p) })
	if err != nil {
		return fmt.Errorf("add port %s: %w", p.Name, err)
	}
	return nil
}

func (c *Client) addPort(ctx context.Context, p Port) ([]ovsdb.Operation, error) {
	bridge, err := c.Bridge(ctx, p.Bridge)
	if err != nil {
		return nil, err
	}
	stale, err := c.Interfaces(ctx, func(i *Interface) bool {
		id := p.ExternalIDs[KeyIfaceID]
		return i.Name == p.Name || id != "" && i.ExternalIDs[KeyIfaceID] == id
	})
	if err != nil {
		return nil, err
	}
	remove, err := c.removeOps(ctx, stale)
	if err != nil {
		return nil, err
	}
	var qos *string
	if p.OwnQdiscs {
		id, err := c.noop(ctx)
		if err != nil {
			return nil, err
		}
		qos = &id
	}
	id, insert, err := c.insertPort(p, qos, 0)
	if err != nil {
		return nil, err
	}
	attach, err := c.db.Where(bridge).Mutate(bridge, model.Mutation{
		Field: &bridge.Ports, Mutator: ovsdb.MutateOperationInsert, Value: []string{id},
	})
	return slices.Concat(remove, insert, attach), err
}

// insertPort returns the id by which the same transaction may refer to the new port; qos is its row of that table, if any, and n tells several
// ports apart.
func (c *Client) insertPort(p Port, qos *string, n int) (string, []ovsdb.Operation, error) {
	iface := &Interface{
		UUID: fmt.Sprintf("iface%d", n), Name: p.Name, Type: p.Type, Options: p.Options,
		ExternalIDs: merge(p.ExternalIDs, map[string]string{KeyVendor: Vendor}),
	}
	if p.MAC != "" {
		iface.MAC = &p.MAC
	}
	if p.MTU != 0 {
		iface.MTURequest = &p.MTU
	}
	row := &portRow{
		UUID: fmt.Sprintf("port%d", n), Name: p.Name, Interfaces: []string{iface.UUID}, QoS: qos,
		ExternalIDs: map[string]string{KeyVendor: Vendor},
	}
	first, err := c.db.Create(iface)
	if err != nil {
		return "", nil, err
	}
	second, err := c.db.Create(row)
	return row.UUID, append(first, second...), err
}

// EnsurePort makes the port be on its bridge as described, and writes nothing when it is. What is there already is changed
// in place, so that the device keeps its addresses; external_ids of others (ovn-installed) stay.
func (c *Client) EnsurePort(ctx context.Context, p Port) error {
	err := c.commit(ctx, func(ctx context.Context) ([]ovsdb.Operation, error) {
		have, err := c.Interfaces(ctx, func(i *Interface) bool { return i.Name == p.Name })
		if err != nil {
			return nil, err
		}
		on, err := c.BridgeOf(ctx, p.Name)
		if err != nil {
			return nil, err
		}
		if len(have) == 0 || on != p.Bridge {
			return c.addPort(ctx, p)
		}
		return c.updateInterface(have[0], p)
	})
	if err != nil {
		return fmt.Errorf("port %s: %w", p.Name, err)
	}
	return nil
}

func (c *Client) updateInterface(have *Interface, p Port) ([]ovsdb.Operation, error) {
	next, fields := *have, []any{}
	if next.Type != p.Type {
		next.Type = p.Type
		fields = append(fields, &next.Type)
	}
	if p.MAC != "" && (next.MAC == nil || *next.MAC != p.MAC) {
		next.MAC = &p.MAC
		fields = append(fields, &next.MAC)
	}
	if p.MTU != 0 && (next.MTURequest == nil || *next.MTURequest != p.MTU) {
		next.MTURequest = &p.MTU
		fields = append(fields, &next.MTURequest)
	}
	if merged := merge(next.Options, p.Options); !maps.Equal(merged, next.Options) {
		next.Options = merged
		fields = append(fields, &next.Options)
	}
	ours := map[string]string{KeyVendor: Vendor}
	if merged := merge(merge(next.ExternalIDs, p.ExternalIDs), ours); !maps.Equal(merged, next.ExternalIDs) {
		next.ExternalIDs = merged
		fields = append(fields, &next.ExternalIDs)
	}
	if len(fields) == 0 {
		return nil, nil
	}
	return c.db.Where(have).Update(&next, fields...)
}

// DelPorts removes the ports that hold these interfaces, in one transaction; no interface is no transaction. OVS lets go of
// the devices and removes the internal ones.
func (c *Client) DelPorts(ctx context.Context, ifaces []*Interface) error {
	err := c.commit(ctx, func(ctx context.Context) ([]ovsdb.Operation, error) { return c.removeOps(ctx, ifaces) })
	if err != nil {
		return fmt.Errorf("remove ports: %w", err)
	}
	return nil
}

// removeOps takes the ports off their bridges. Port and Interface are no root tables (RFC 7047, section 3.2): a row that nobody refers to
// is gone at commit.
func (c *Client) removeOps(ctx context.Context, ifaces []*Interface) ([]ovsdb.Operation, error) {
	if len(ifaces) == 0 {
		return nil, nil
	}
	ports, err := find(ctx, c, func(p *portRow) bool {
		return slices.ContainsFunc(ifaces, func(i *Interface) bool { return slices.Contains(p.Interfaces, i.UUID) })
	})
	if err != nil {
		return nil, err
	}
	bridges, err := find(ctx, c, func(*Bridge) bool { return true })
	if err != nil {
		return nil, err
	}
	var ops []ovsdb.Operation
	for _, b := range bridges {
		op, err := c.detach(b, ports)
		if err != nil {
			return nil, err
		}
		ops = append(ops, op...)
	}
	return ops, nil
}

func (c *Client) detach(b *Bridge, ports []*portRow) ([]ovsdb.Operation, error) {
	var gone []string
	for _, p := range ports {
		if slices.Contains(b.Ports, p.UUID) {
			gone = append(gone, p.UUID)
		}
	}
	if len(gone) == 0 {
		return nil, nil
	}
	return c.db.Where(b).Mutate(b, model.Mutation{
		Field: &b.Ports, Mutator: ovsdb.MutateOperationDelete, Value: gone,
	})
}

// Interfaces lists the interfaces for which keep holds. The rows are copies.
func (c *Client) Interfaces(ctx context.Context, keep func(*Interface) bool) ([]*Interface, error) {
	rows, err := find(ctx, c, keep)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	return rows, nil
}

// BridgeOf names the bridge that the port is on; empty when there is none.
func (c *Client) BridgeOf(ctx context.Context, port string) (string, error) {
	ports, err := find(ctx, c, func(p *portRow) bool { return p.Name == port })
	if err != nil || len(ports) == 0 {
		return "", err
	}
	bridges, err := find(ctx, c, func(b *Bridge) bool { return slices.Contains(b.Ports, ports[0].UUID) })
	if err != nil || len(bridges) == 0 {
		return "", err
	}
	return bridges[0].Name, nil
}
