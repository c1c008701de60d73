package nb

import (
	"context"
	"fmt"

	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"

	"github.com/heddle-net/heddle/ovs/nb/db"
)

// newClient makes a client that knows these tables; one that the server lacks, or a column, would keep it from connecting.
func (cfg Config) newClient(tables []served) (client.Client, error) {
	models := map[string]model.Model{db.NBGlobalTable: &db.NBGlobal{}}
	for _, t := range tables {
		models[t.Name] = t.clientModel()
	}
	dbModel, err := model.NewClientDBModel(db.Schema().Name, models)
	if err != nil {
		return nil, fmt.Errorf("northbound model: %w", err)
	}
	opts := []client.Option{client.WithLogger(&cfg.Log)}
	for _, e := range cfg.Endpoints {
		opts = append(opts, client.WithEndpoint(e))
	}
	if cfg.TLS != nil {
		opts = append(opts, client.WithTLSConfig(cfg.TLS))
	}
	cl, err := client.NewOVSDBClient(dbModel, opts...)
	if err != nil {
		return nil, fmt.Errorf("northbound client: %w", err)
	}
	return cl, nil
}

// tables asks the server, on a connection of its own, which of our tables it has.
func (cfg Config) tables(ctx context.Context) ([]served, error) {
	cl, err := cfg.newClient(nil)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	if err := cl.Connect(ctx); err != nil {
		return nil, fmt.Errorf("connect to northbound database: %w", err)
	}
	return serves(cl.Schema()), nil
}
