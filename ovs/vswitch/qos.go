package vswitch

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// typeNoop is the type of QoS by which ovs-vswitchd leaves the qdiscs of a port to somebody else; without it, it removes them when it comes
// to know the port, at each of its starts too (ovs-vswitchd.conf.db(5), QoS:type). One row serves all ports.
const typeNoop = "linux-noop"

// qosRow is a row of the table QoS, a root table: it stays when nobody refers to it.
type qosRow struct {
	UUID        string            `ovsdb:"_uuid"`
	Type        string            `ovsdb:"type"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

func ourNoop(q *qosRow) bool { return q.Type == typeNoop && q.ExternalIDs[KeyVendor] == Vendor }

// noop returns the row's UUID. The first one to ask makes it, in a transaction of its own, before others are let in: ports that come at once
// share it.
func (c *Client) noop(ctx context.Context) (string, error) {
	c.making.Lock()
	defer c.making.Unlock()
	for made := false; ; made = true {
		rows, err := find(ctx, c, ourNoop)
		switch {
		case err != nil:
			return "", err
		case len(rows) > 0:
			return rows[0].UUID, nil
		case made:
			return "", errors.New("the QoS row that was made is gone")
		}
		if err := c.commit(ctx, func(context.Context) ([]ovsdb.Operation, error) {
			return c.db.Create(&qosRow{Type: typeNoop, ExternalIDs: map[string]string{KeyVendor: Vendor}})
		}); err != nil {
			return "", err
		}
		if err := c.Sync(ctx); err != nil {
			return "", err
		}
	}
}

// LeaveQdiscs has ovs-vswitchd leave the qdiscs of these interfaces' ports alone, in one transaction, or none where it does already.
func (c *Client) LeaveQdiscs(ctx context.Context, ifaces []*Interface) error {
	err := c.commit(ctx, func(ctx context.Context) ([]ovsdb.Operation, error) {
		ports, err := find(ctx, c, func(p *portRow) bool {
			return p.QoS == nil && slices.ContainsFunc(ifaces, func(i *Interface) bool { return slices.Contains(p.Interfaces, i.UUID) })
		})
		if err != nil || len(ports) == 0 {
			return nil, err
		}
		id, err := c.noop(ctx)
		if err != nil {
			return nil, err
		}
		var ops []ovsdb.Operation
		for _, p := range ports {
			next := *p
			next.QoS = &id
			op, err := c.db.Where(p).Update(&next, &next.QoS)
			if err != nil {
				return nil, err
			}
			ops = append(ops, op...)
		}
		return ops, nil
	})
	if err != nil {
		return fmt.Errorf("leave the qdiscs of ports alone: %w", err)
	}
	return nil
}

// ForgetQdiscs removes the row that LeaveQdiscs and AddPort have made, once no port of ours is left.
func (c *Client) ForgetQdiscs(ctx context.Context) error {
	err := c.commit(ctx, func(context.Context) ([]ovsdb.Operation, error) { return c.db.WhereCache(ourNoop).Delete() })
	if err != nil {
		return fmt.Errorf("remove the QoS row: %w", err)
	}
	return nil
}
