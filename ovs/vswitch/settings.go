package vswitch

import (
	"context"
	"fmt"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// ExternalIDs returns Open_vSwitch:external_ids.
func (c *Client) ExternalIDs(ctx context.Context) (map[string]string, error) {
	r, err := c.root(ctx)
	if err != nil {
		return nil, fmt.Errorf("Open_vSwitch external_ids: %w", err)
	}
	return r.ExternalIDs, nil
}

// SetExternalIDs gives the keys of want their values in Open_vSwitch:external_ids; an empty value removes the key. Keys that are not in
// want stay. It writes only what differs and nothing at all when nothing does: each write makes
// ovn-controller recompute everything.
func (c *Client) SetExternalIDs(ctx context.Context, want map[string]string) error {
	err := c.commit(ctx, func(ctx context.Context) ([]ovsdb.Operation, error) {
		r, err := c.root(ctx)
		if err != nil {
			return nil, err
		}
		gone, set := diff(r.ExternalIDs, want)
		return c.mutateExternalIDs(r, gone, set)
	})
	if err != nil {
		return fmt.Errorf("set Open_vSwitch external_ids: %w", err)
	}
	return nil
}

// diff says which keys have to go, and which have to be put in after that.
func diff(have, want map[string]string) (gone []string, set map[string]string) {
	set = map[string]string{}
	for k, v := range want {
		old, ok := have[k]
		if ok && old != v {
			gone = append(gone, k)
		}
		if v != "" && old != v {
			set[k] = v
		}
	}
	return gone, set
}

// mutateExternalIDs removes first: inserting into a map keeps the value of a key that is there (RFC 7047, section 5.1).
func (c *Client) mutateExternalIDs(r *root, gone []string, set map[string]string) ([]ovsdb.Operation, error) {
	var m []model.Mutation
	if len(gone) > 0 {
		m = append(m, model.Mutation{Field: &r.ExternalIDs, Mutator: ovsdb.MutateOperationDelete, Value: gone})
	}
	if len(set) > 0 {
		m = append(m, model.Mutation{Field: &r.ExternalIDs, Mutator: ovsdb.MutateOperationInsert, Value: set})
	}
	if len(m) == 0 {
		return nil, nil
	}
	return c.db.Where(r).Mutate(r, m...)
}
