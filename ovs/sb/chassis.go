package sb

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Config says how to reach the southbound database.
type Config struct {
	// Endpoints are tried in order: unix:/path, tcp:host:port or ssl:host:port.
	Endpoints []string
	// TLS is used with ssl endpoints.
	TLS *tls.Config
}

// chassis is the part of a Chassis row that we read.
type chassis struct {
	UUID     string `ovsdb:"_uuid"`
	Name     string `ovsdb:"name"`
	Hostname string `ovsdb:"hostname"`
}

// chassisPrivate is the row that goes with it, by name.
type chassisPrivate struct {
	UUID string `ovsdb:"_uuid"`
	Name string `ovsdb:"name"`
}

const (
	tableChassis        = "Chassis"
	tableChassisPrivate = "Chassis_Private"
)

// RemoveChassis removes every Chassis with that hostname, and its Chassis_Private row, as `ovn-sbctl chassis-del` does.
// Without this, other nodes would keep a tunnel to a node that is gone (ovn-sb(5), Chassis). ctx bounds it.
func RemoveChassis(ctx context.Context, cfg Config, hostname string) error {
	dbModel, err := model.NewClientDBModel("OVN_Southbound", map[string]model.Model{
		tableChassis: &chassis{}, tableChassisPrivate: &chassisPrivate{},
	})
	if err != nil {
		return fmt.Errorf("southbound model: %w", err)
	}
	var opts []client.Option
	for _, e := range cfg.Endpoints {
		opts = append(opts, client.WithEndpoint(e))
	}
	if cfg.TLS != nil {
		opts = append(opts, client.WithTLSConfig(cfg.TLS))
	}
	cl, err := client.NewOVSDBClient(dbModel, opts...)
	if err != nil {
		return fmt.Errorf("southbound client: %w", err)
	}
	if err := cl.Connect(ctx); err != nil {
		return fmt.Errorf("connect to southbound database: %w", err)
	}
	defer cl.Close()
	names, err := named(ctx, cl, hostname)
	if err != nil || len(names) == 0 {
		return err
	}
	var ops []ovsdb.Operation
	for _, name := range names {
		where := []ovsdb.Condition{ovsdb.NewCondition("name", ovsdb.ConditionEqual, name)}
		for _, table := range []string{tableChassis, tableChassisPrivate} {
			ops = append(ops, ovsdb.Operation{Op: ovsdb.OperationDelete, Table: table, Where: where})
		}
	}
	_, err = transact(ctx, cl, ops...)
	return err
}

// named lists the names of the Chassis with that hostname.
func named(ctx context.Context, cl client.Client, hostname string) ([]string, error) {
	results, err := transact(ctx, cl, ovsdb.Operation{
		Op: ovsdb.OperationSelect, Table: tableChassis, Columns: []string{"name"},
		Where: []ovsdb.Condition{ovsdb.NewCondition("hostname", ovsdb.ConditionEqual, hostname)},
	})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, row := range results[0].Rows {
		if name, ok := row["name"].(string); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

func transact(ctx context.Context, cl client.Client, ops ...ovsdb.Operation) ([]ovsdb.OperationResult, error) {
	results, err := cl.Transact(ctx, ops...)
	if err != nil {
		return nil, fmt.Errorf("southbound transaction: %w", err)
	}
	for _, r := range results {
		if r.Error != "" {
			return nil, fmt.Errorf("southbound database refuses: %s: %s", r.Error, r.Details)
		}
	}
	return results, nil
}
