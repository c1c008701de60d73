package vswitch

import (
	"context"
	"fmt"
	"maps"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Bridge returns the bridge of that name, or ErrNoBridge.
func (c *Client) Bridge(ctx context.Context, name string) (*Bridge, error) {
	rows, err := find(ctx, c, func(b *Bridge) bool { return b.Name == name })
	if err != nil {
		return nil, fmt.Errorf("bridge %s: %w", name, err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("bridge %s: %w", name, ErrNoBridge)
	}
	return rows[0], nil
}

// EnsureBridge creates the bridge together with the given ports, or sets the datapath type, the fail mode and the given keys
// of other_config and external_ids of the one that is there. Nothing is written when all of it holds already.
func (c *Client) EnsureBridge(ctx context.Context, want Bridge, ports ...Port) error {
	err := c.commit(ctx, func(ctx context.Context) ([]ovsdb.Operation, error) {
		rows, err := find(ctx, c, func(b *Bridge) bool { return b.Name == want.Name })
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			return c.createBridge(ctx, want, ports)
		}
		return c.updateBridge(rows[0], want)
	})
	if err != nil {
		return fmt.Errorf("bridge %s: %w", want.Name, err)
	}
	return nil
}

// createBridge adds the bridge with its local port, as `ovs-vsctl add-br` does.
func (c *Client) createBridge(ctx context.Context, want Bridge, ports []Port) ([]ovsdb.Operation, error) {
	top, err := c.root(ctx)
	if err != nil {
		return nil, err
	}
	var ops []ovsdb.Operation
	want.UUID, want.Ports = "bridge", nil
	for n, p := range append([]Port{{Name: want.Name, Type: "internal"}}, ports...) {
		id, insert, err := c.insertPort(p, nil, n)
		if err != nil {
			return nil, err
		}
		ops, want.Ports = append(ops, insert...), append(want.Ports, id)
	}
	insert, err := c.db.Create(&want)
	if err != nil {
		return nil, err
	}
	attach, err := c.db.Where(top).Mutate(top, model.Mutation{
		Field: &top.Bridges, Mutator: ovsdb.MutateOperationInsert, Value: []string{want.UUID},
	})
	return append(append(ops, insert...), attach...), err
}

func (c *Client) updateBridge(have *Bridge, want Bridge) ([]ovsdb.Operation, error) {
	next, fields := *have, []any{}
	if next.DatapathType != want.DatapathType {
		next.DatapathType = want.DatapathType
		fields = append(fields, &next.DatapathType)
	}
	if want.FailMode != nil && (next.FailMode == nil || *next.FailMode != *want.FailMode) {
		next.FailMode = want.FailMode
		fields = append(fields, &next.FailMode)
	}
	if merged := merge(next.OtherConfig, want.OtherConfig); !maps.Equal(merged, next.OtherConfig) {
		next.OtherConfig = merged
		fields = append(fields, &next.OtherConfig)
	}
	if merged := merge(next.ExternalIDs, want.ExternalIDs); !maps.Equal(merged, next.ExternalIDs) {
		next.ExternalIDs = merged
		fields = append(fields, &next.ExternalIDs)
	}
	if len(fields) == 0 {
		return nil, nil
	}
	return c.db.Where(have).Update(&next, fields...)
}

// DelBridge removes the bridge with all its ports. Absent is fine.
func (c *Client) DelBridge(ctx context.Context, name string) error {
	err := c.commit(ctx, func(ctx context.Context) ([]ovsdb.Operation, error) {
		rows, err := find(ctx, c, func(b *Bridge) bool { return b.Name == name })
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		top, err := c.root(ctx)
		if err != nil {
			return nil, err
		}
		return c.db.Where(top).Mutate(top, model.Mutation{
			Field: &top.Bridges, Mutator: ovsdb.MutateOperationDelete, Value: []string{rows[0].UUID},
		})
	})
	if err != nil {
		return fmt.Errorf("remove bridge %s: %w", name, err)
	}
	return nil
}

// merge lays want over have; the keys of others stay.
func merge(have, want map[string]string) map[string]string {
	out := make(map[string]string, len(have)+len(want))
	maps.Copy(out, have)
	maps.Copy(out, want)
	return out
}
