package vswitch

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Keys of external_ids.
const (
	KeyMirrorID = "mirror-id" // of an Interface: by it ovn-controller finds where a mirror's copies go (ovn-controller(8))
	keyFilter   = "heddle-filter"
	keyOVNOwned = "ovn-owned" // of a Mirror
)

// Mirror copies what comes from one port to another one.
type Mirror struct {
	Name     string
	From, To string // ports
}

// mirrorRow is a row of the table Mirror. ovn-controller makes them of those in OVN's, and leaves others alone.
type mirrorRow struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	From        []string          `ovsdb:"select_src_port"`
	To          []string          `ovsdb:"select_dst_port"`
	Output      *string           `ovsdb:"output_port"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

// lost are the ports of which some packets are not copied any more.
func (m *mirrorRow) lost(next *mirrorRow) (ports []string) {
	filtered := m.ExternalIDs[keyFilter] != next.ExternalIDs[keyFilter]
	for _, s := range [][2][]string{{m.From, next.From}, {m.To, next.To}} {
		for _, port := range s[0] {
			if filtered || !slices.Contains(s[1], port) {
				ports = append(ports, port)
			}
		}
	}
	return ports
}

// SetMirrors makes our own mirrors on a bridge be these, and gives those that ovn-controller has made the filters that they have by name, as
// ovs-ofctl(8) writes matches; who is not named has none. It is one transaction, or none where all is so. A filter needs Open vSwitch 3.4.
func (c *Client) SetMirrors(ctx context.Context, bridge string, ours []Mirror, filters map[string]string) error {
	if err := c.Sync(ctx); err != nil { // ports that were added just now are named
		return err
	}
	err := c.commit(ctx, func(ctx context.Context) ([]ovsdb.Operation, error) {
		have, err := find(ctx, c, func(*mirrorRow) bool { return true })
		if err != nil {
			return nil, err
		}
		b, err := c.Bridge(ctx, bridge)
		if err != nil {
			return nil, err
		}
		kept, ops, err := c.replaceMirrors(ctx, b, have, ours)
		for _, row := range have {
			if err != nil {
				return nil, err
			}
			if !kept[row.UUID] && row.ExternalIDs[keyOVNOwned] == "true" && row.ExternalIDs[keyFilter] != filters[row.Name] {
				var more []ovsdb.Operation
				more, err = c.filterOps(row, filters[row.Name])
				ops = append(ops, more...)
			}
		}
		return ops, err
	})
	if err != nil {
		return fmt.Errorf("set mirrors: %w", err)
	}
	return nil
}

// FiltersMirrors tells whether this Open vSwitch has filters (3.4).
func (c *Client) FiltersMirrors() bool {
	return c.db.Schema().Table("Mirror").Column("filter") != nil
}

// filterOps write the column, which older releases lack and no model has therefore, and beside it what was written.
func (c *Client) filterOps(row *mirrorRow, filter string) ([]ovsdb.Operation, error) {
	next := *row
	next.ExternalIDs = maps.Clone(row.ExternalIDs)
	column := ovsdb.OvsSet{GoSet: []any{}}
	if delete(next.ExternalIDs, keyFilter); filter != "" {
		column.GoSet = append(column.GoSet, filter)
		next.ExternalIDs[keyFilter] = filter
	}
	ops, err := c.db.Where(row).Update(&next, &next.ExternalIDs)
	return append(ops, ovsdb.Operation{
		Op: ovsdb.OperationUpdate, Table: "Mirror", Row: ovsdb.Row{"filter": column},
		Where: []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: row.UUID})},
	}), err
}

// replaceMirrors adds those of ours that are missing and removes the others; kept are those that stay.
func (c *Client) replaceMirrors(ctx context.Context, b *Bridge, have []*mirrorRow, want []Mirror) (kept map[string]bool, ops []ovsdb.Operation, err error) {
	kept = make(map[string]bool)
	var add, remove []string
	for n, m := range want {
		from, err := c.portID(ctx, m.From)
		if err != nil {
			return nil, nil, err
		}
		to, err := c.portID(ctx, m.To)
		if err != nil {
			return nil, nil, err
		}
		row := &mirrorRow{
			UUID: fmt.Sprintf("mirror%d", n), Name: m.Name, From: []string{from}, Output: &to, ExternalIDs: map[string]string{KeyVendor: Vendor},
		}
		if i := slices.IndexFunc(have, row.same); i >= 0 {
			kept[have[i].UUID] = true
			continue
		}
		insert, err := c.db.Create(row)
		if err != nil {
			return nil, nil, err
		}
		ops, add = append(ops, insert...), append(add, row.UUID)
	}
	for _, row := range have {
		if row.ExternalIDs[KeyVendor] == Vendor && !kept[row.UUID] {
			remove = append(remove, row.UUID)
		}
	}
	for mutator, ids := range map[ovsdb.Mutator][]string{ovsdb.MutateOperationInsert: add, ovsdb.MutateOperationDelete: remove} {
		if len(ids) == 0 {
			continue
		}
		op, err := c.db.Where(b).Mutate(b, model.Mutation{Field: &b.Mirrors, Mutator: mutator, Value: ids})
		if err != nil {
			return nil, nil, err
		}
		ops = append(ops, op...)
	}
	return kept, ops, nil
}

// same tells whether the other row is ours and does the same.
func (m *mirrorRow) same(o *mirrorRow) bool {
	return o.ExternalIDs[KeyVendor] == Vendor && o.Name == m.Name && slices.Equal(o.From, m.From) && len(o.To) == 0 && o.Output != nil && *o.Output == *m.Output
}

func (c *Client) portID(ctx context.Context, name string) (string, error) {
	ports, err := find(ctx, c, func(p *portRow) bool { return p.Name == name })
	if err != nil {
		return "", err
	}
	if len(ports) == 0 {
		return "", fmt.Errorf("port %s does not exist", name)
	}
	return ports[0].UUID, nil
}

// SubscribeUnmirrored is Subscribe for one event: packets that were copied are not to be copied any more.
func (c *Client) SubscribeUnmirrored() (<-chan struct{}, func()) {
	return c.unmirrored.subscribe(func(string) bool { return true })
}

// TakeUnmirrored returns the ports of these packets, each time those that are new.
func (c *Client) TakeUnmirrored() []string {
	c.lostMu.Lock()
	defer c.lostMu.Unlock()
	ports := c.lost
	c.lost = nil
	return ports
}

func (c *Client) lose(ports []string) {
	if len(ports) == 0 {
		return
	}
	c.lostMu.Lock()
	c.lost = append(c.lost, ports...)
	c.lostMu.Unlock()
	c.unmirrored.notify("")
}

// HasAny tells whether one of the ports of TakeUnmirrored is there.
func (c *Client) HasAny(ctx context.Context, ports []string) (bool, error) {
	rows, err := find(ctx, c, func(p *portRow) bool { return slices.Contains(ports, p.UUID) })
	return len(rows) > 0, err
}

// Applied returns when ovs-vswitchd has carried out what the database has now (ovs-vswitchd.conf.db(5), Open_vSwitch:next_cfg).
func (c *Client) Applied(ctx context.Context) error {
	changed, done := c.changes.subscribe(func(name string) bool { return name == rootName })
	defer done()
	var want int
	err := c.commit(ctx, func(ctx context.Context) ([]ovsdb.Operation, error) {
		r, err := c.root(ctx)
		if err != nil {
			return nil, err
		}
		want = r.NextCfg + 1
		return c.db.Where(r).Mutate(r, model.Mutation{Field: &r.NextCfg, Mutator: ovsdb.MutateOperationAdd, Value: 1})
	})
	for err == nil {
		var r *root
		if r, err = c.root(ctx); err == nil && r.CurCfg >= want {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	return fmt.Errorf("wait for ovs-vswitchd: %w", err)
}
