package vswitch

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/cache"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// ErrNoBridge is returned when a port is asked for on a bridge that does not exist (yet).
var ErrNoBridge = errors.New("no such bridge")

// errNoRoot means that the database is empty: `ovs-vsctl init` has not run on it.
var errNoRoot = errors.New("the Open_vSwitch table is empty")

// Config says where the database is.
type Config struct {
	// Endpoint is the ovsdb-server's socket, such as unix:/run/openvswitch/db.sock.
	Endpoint string
	// Timeout bounds each call whose context has no earlier deadline. Default 10 s.
	Timeout time.Duration
	// Log receives libovsdb's messages.
	Log logr.Logger
}

// Client is a connection to the database with a cache of the monitored columns. Safe for concurrent use.
type Client struct {
	db      client.Client
	timeout time.Duration
	changes hub
	// installs wakes those who wait for ovn-controller.
	installs hub
	// making is held by who makes the row that ports share.
	making sync.Mutex
	// unmirrored wakes those who end the copying of packets, of the ports that are lost.
	unmirrored hub
	lostMu     sync.Mutex
	lost       []string
}

// Connect dials the database and returns when its content is in the cache. It retries until ctx is done; from then on the
// client reconnects by itself, whatever happens to the server, until Close.
func Connect(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	c := &Client{timeout: cfg.Timeout}
	dbModel, err := databaseModel()
	if err != nil {
		return nil, fmt.Errorf("Open_vSwitch models: %w", err)
	}
	c.db, err = client.NewOVSDBClient(dbModel,
		client.WithEndpoint(cfg.Endpoint),
		client.WithLogger(&cfg.Log),
		// Without an inactivity check: with one, a Transact that ends while the connection is lost sends on a closed channel
		// and panics (the race detector shows it). A unix socket tells of a server that is gone, and one that hangs is what
		// the deadlines are for.
		client.WithReconnect(cfg.Timeout, forever()))
	if err != nil {
		return nil, fmt.Errorf("Open_vSwitch client: %w", err)
	}
	if err := backoff.Retry(func() error { return c.connect(ctx, cfg.Log) }, backoff.WithContext(forever(), ctx)); err != nil {
		c.db.Close()
		return nil, fmt.Errorf("connect to %s: %w", cfg.Endpoint, err)
	}
	return c, nil
}

// forever is a backoff that never gives up: libovsdb panics when its own does. A unix socket costs next to nothing to try.
func forever() backoff.BackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.MaxElapsedTime = 20*time.Millisecond, 250*time.Millisecond, 0
	return b
}

func (c *Client) connect(ctx context.Context, log logr.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := c.db.Connect(ctx); err != nil {
		log.V(1).Info("the Open_vSwitch database does not answer yet", "error", err.Error())
		return err
	}
	_, err := c.db.Monitor(ctx, c.monitor())
	if err != nil {
		log.V(1).Info("the Open_vSwitch database cannot be monitored yet", "error", err.Error())
		return err
	}
	c.db.Cache().AddEventHandler(&cache.EventHandlerFuncs{
		AddFunc:    func(_ string, row model.Model) { c.changes.notify(name(row)) },
		UpdateFunc: c.updated,
		DeleteFunc: c.deleted,
	})
	return nil
}

// updated passes a change on, but not that a bridge has other ports, which comes as a change of the port, too, or other keys of
// ovn-controller's: both come with each Pod.
func (c *Client) updated(_ string, before, after model.Model) {
	if was, ok := before.(*mirrorRow); ok {
		c.lose(was.lost(after.(*mirrorRow)))
	}
	was, ok1 := before.(*Bridge)
	is, ok2 := after.(*Bridge)
	if !ok1 || !ok2 {
		c.changes.notify(name(after))
		return
	}
	if was.ExternalIDs[keyNBCfg] != is.ExternalIDs[keyNBCfg] {
		c.installs.notify("")
	}
	then, now := *was, *is
	then.Ports, now.Ports = nil, nil
	then.ExternalIDs, now.ExternalIDs = notOVN(was.ExternalIDs), notOVN(is.ExternalIDs)
	if !reflect.DeepEqual(then, now) {
		c.changes.notify(is.Name)
	}
}

func (c *Client) deleted(_ string, row model.Model) {
	if m, ok := row.(*mirrorRow); ok {
		c.lose(m.lost(&mirrorRow{}))
	}
	c.changes.notify(name(row))
}

// notOVN leaves out what ovn-controller keeps in a bridge's external_ids (ovn-controller(8)).
func notOVN(ids map[string]string) map[string]string {
	out := make(map[string]string, len(ids)) // an absent map is an empty one
	for key, value := range ids {
		if !strings.HasPrefix(key, "ct-zone-") && !strings.HasPrefix(key, "ovn-") {
			out[key] = value
		}
	}
	return out
}

// SubscribeInstalled is Subscribe for one event: ovn-controller says that it has installed everything up to another nb_cfg of the
// northbound database (NB_Global in ovn-nb(5)).
func (c *Client) SubscribeInstalled() (<-chan struct{}, func()) {
	return c.installs.subscribe(func(string) bool { return true })
}

// name of the bridge, port or interface; empty for the tables that have none.
func name(row model.Model) string {
	switch r := row.(type) {
	case *root:
		return rootName
	case *Bridge:
		return r.Name
	case *portRow:
		return r.Name
	case *Interface:
		return r.Name
	default:
		return ""
	}
}

// monitor lists the columns one by one; the package comment says why.
func (c *Client) monitor() *client.Monitor {
	r, b, p, i, q, m := &root{}, &Bridge{}, &portRow{}, &Interface{}, &qosRow{}, &mirrorRow{}
	return c.db.NewMonitor(
		client.WithTable(r, &r.Bridges, &r.ExternalIDs, &r.NextCfg, &r.CurCfg),
		client.WithTable(b, &b.Name, &b.Ports, &b.DatapathType, &b.FailMode, &b.OtherConfig, &b.ExternalIDs),
		client.WithTable(p, &p.Name, &p.Interfaces, &p.QoS, &p.ExternalIDs),
		client.WithTable(q, &q.Type, &q.ExternalIDs),
		client.WithTable(m, &m.Name, &m.From, &m.To, &m.Output, &m.ExternalIDs),
		client.WithTable(i, &i.Name, &i.Type, &i.MAC, &i.MTURequest, &i.Options, &i.ExternalIDs, &i.OFPort, &i.Error))
}

// Close ends the connection for good.
func (c *Client) Close() { c.db.Close() }

// Connected tells whether there is a connection right now. libovsdb's own Connected stays true while it reconnects; only then
// there is no current endpoint.
func (c *Client) Connected() bool { return c.db.Connected() && c.db.CurrentEndpoint() != "" }

// Subscribe returns a channel that holds a token whenever a row may have changed since the token before was taken: one whose
// bridge, port or interface has a name that interests, or one of the tables without names (the name is empty then). It is a hint:
// read the state, then wait. The function ends the subscription.
func (c *Client) Subscribe(interested func(name string) bool) (<-chan struct{}, func()) {
	return c.changes.subscribe(interested)
}

func (c *Client) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.timeout)
}

// commit makes one transaction of what build returns; no operation is no round trip. When the connection is lost under it, it
// is not known whether the transaction was carried out, so build is asked again once there is a new connection: it
// compares with what is there then.
func (c *Client) commit(ctx context.Context, build func(context.Context) ([]ovsdb.Operation, error)) error {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	for {
		ops, err := build(ctx)
		if err != nil || len(ops) == 0 {
			return err
		}
		results, err := c.db.Transact(ctx, ops...)
		if err == nil {
			_, err = ovsdb.CheckOperationResults(results, ops)
			return err
		}
		if !disconnected(err) {
			return err
		}
		if err := c.Sync(ctx); err != nil {
			return err
		}
	}
}

// Sync returns when the cache has everything that was committed before, also by a call of ours that ran into its
// deadline and was carried out all the same: the server answers a session in order, with the session's updates first
// (ovsdb-server(7)). It waits for a connection that is lost.
func (c *Client) Sync(ctx context.Context) error {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	for {
		err := c.db.Echo(ctx)
		if err != nil {
			// Only Transact waits for a new connection. Without an operation it is an echo that does.
			_, err = c.db.Transact(ctx)
		}
		if err == nil {
			return nil
		}
		// A connection that was lost just now is not dialed anew before libovsdb has seen that.
		if !disconnected(err) {
			return fmt.Errorf("the Open_vSwitch database does not answer: %w", err)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the Open_vSwitch database does not answer: %w", ctx.Err())
		}
	}
}

// disconnected tells that a call reached nobody: libovsdb knows that the connection is lost, or the socket knows it first.
func disconnected(err error) bool {
	return errors.Is(err, client.ErrNotConnected) || errors.Is(err, syscall.EPIPE)
}

// find lists the cached rows for which keep holds. It waits while the cache is being refilled after a reconnect.
func find[T any](ctx context.Context, c *Client, keep func(*T) bool) ([]*T, error) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	var rows []*T
	if err := c.db.WhereCache(keep).List(ctx, &rows); err != nil {
		return nil, err
	}
	return rows, ctx.Err()
}

// root is the only row of Open_vSwitch.
func (c *Client) root(ctx context.Context) (*root, error) {
	all := func(*root) bool { return true }
	rows, err := find(ctx, c, all)
	if err == nil && len(rows) == 0 { // of a new database; somebody may have filled it since we last heard
		if err = c.Sync(ctx); err == nil {
			rows, err = find(ctx, c, all)
		}
	}
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errNoRoot
	}
	return rows[0], nil
}
