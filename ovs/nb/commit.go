package nb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/heddle-net/heddle/ovs/nb/db"
)

// ErrFenced is returned by Commit when another leader has taken the database over.
var ErrFenced = errors.New("another leader has taken over the northbound database")

// ErrRefused is returned by Commit when the database refused the content of the transaction; nothing of it was applied.
var ErrRefused = errors.New("refused by the northbound database")

// keyEpoch counts leaders in external_ids of NB_Global.
const keyEpoch = "heddle-epoch"

// Acquire makes this connection the only one that may write: it raises the epoch, and every Commit of an older one fails
// inside the database. Two that do so at once: one fails.
func (c *Conn) Acquire(ctx context.Context) error {
	var ops []ovsdb.Operation
	uuid, old := c.readEpoch()
	next := strconv.Itoa(atoi(old) + 1)
	if uuid == "" { // neither northd nor `ovn-nbctl init` has run; maxRows is 1, so a second row is refused
		uuid = "global"
		ops = append(ops, ovsdb.Operation{Op: ovsdb.OperationInsert, Table: db.NBGlobalTable, UUIDName: uuid, Row: ovsdb.Row{
			columnExternalIDs: encodeMap(map[string]string{keyEpoch: next}),
		}})
	} else {
		if old == "" { // so that there is something to wait for: an insert leaves a key that is there as it is (RFC 7047, 5.1)
			old = "0"
			ops = append(ops, mutateGlobal(uuid, columnExternalIDs, ovsdb.MutateOperationInsert, encodeMap(map[string]string{keyEpoch: old})))
		}
		ops = append(ops, waitEpoch(uuid, old),
			mutateGlobal(uuid, columnExternalIDs, ovsdb.MutateOperationDelete, encodeSet([]string{keyEpoch}, false)),
			mutateGlobal(uuid, columnExternalIDs, ovsdb.MutateOperationInsert, encodeMap(map[string]string{keyEpoch: next})))
	}
	results, err := c.transact(ctx, ops)
	if err != nil {
		return fmt.Errorf("take over the northbound database: %w", err)
	}
	if uuid == "global" {
		uuid = results[0].UUID.GoUUID
	}
	c.epoch, c.global = next, uuid
	return nil
}

// columnNBCfg is the number that ovn-controller reports once it has installed everything that the transaction with it wants.
const columnNBCfg = "nb_cfg"

// mutateGlobal changes NB_Global: keys of ours, or the number.
func mutateGlobal(uuid, column string, mutator ovsdb.Mutator, value any) ovsdb.Operation {
	return ovsdb.Operation{
		Op: ovsdb.OperationMutate, Table: db.NBGlobalTable, Where: whereUUID(uuid),
		Mutations: []ovsdb.Mutation{*ovsdb.NewMutation(column, mutator, value)},
	}
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func (c *Conn) readEpoch() (uuid, epoch string) {
	for uuid, m := range c.client.Cache().Table(db.NBGlobalTable).RowsShallow() {
		return uuid, m.(*db.NBGlobal).ExternalIDs[keyEpoch]
	}
	return "", ""
}

// waitEpoch fails the transaction unless NB_Global still has this epoch. The column cannot be compared as a whole, others keep
// keys in it: the condition selects the row, and the wait expects to find it.
func waitEpoch(uuid, epoch string) ovsdb.Operation {
	has := ovsdb.NewCondition(columnExternalIDs, ovsdb.ConditionIncludes, encodeMap(map[string]string{keyEpoch: epoch}))
	now := 0
	return ovsdb.Operation{
		Op: ovsdb.OperationWait, Table: db.NBGlobalTable, Timeout: &now, Where: append(whereUUID(uuid), has), Until: string(ovsdb.WaitConditionEqual),
		Columns: []string{"_uuid"}, Rows: []ovsdb.Row{{"_uuid": ovsdb.UUID{GoUUID: uuid}}},
	}
}

// Commit applies a transaction, if we are still the leader, and returns when the index shows it. An error that is
// ErrRefused leaves everything as it was; after ErrFenced or any other error the connection must not be used again.
func (c *Conn) Commit(ctx context.Context, txn Txn) error {
	if txn.Empty() {
		c.learn(txn, nil)
		return nil
	}
	ops := slices.Concat([]ovsdb.Operation{waitEpoch(c.global, c.epoch)}, txn.Ops)
	if txn.Fenced {
		ops = append(ops, mutateGlobal(c.global, columnNBCfg, ovsdb.MutateOperationAdd, 1))
	}
	results, err := c.transact(ctx, ops)
	if err != nil {
		return err
	}
	// ovsdb-server sends the update before the reply (ovsdb-server(7)), and libovsdb applies it in the order of arrival.
	for _, change := range txn.Changes {
		uuid := change.UUID
		if change.Action == Create {
			uuid = results[change.op+1].UUID.GoUUID
		}
		t := tablesByName[change.Ref.Table]
		c.index.relist(uuid, c.index.rows[uuid].said) // it is there now
		c.index.put(t, uuid, c.model(t, uuid), &Drift{})
	}
	c.learn(txn, results)
	return nil
}

func (c *Conn) transact(ctx context.Context, ops []ovsdb.Operation) ([]ovsdb.OperationResult, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	results, err := c.client.Transact(ctx, ops...)
	if err != nil {
		return nil, fmt.Errorf("northbound transaction: %w", err)
	}
	for i, r := range results {
		switch {
		case r.Error == "":
		case i < len(ops) && ops[i].Op == ovsdb.OperationWait:
			return nil, ErrFenced
		default:
			return nil, fmt.Errorf("%w: %s: %s", ErrRefused, r.Error, r.Details)
		}
	}
	return results, nil
}
