package nb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/heddle-net/heddle/ovs/nb/db"
)

// Config says how to reach the northbound database.
type Config struct {
	// Endpoints are tried in order: unix:/path, tcp:host:port or ssl:host:port.
	Endpoints []string
	// TLS is used with ssl endpoints.
	TLS *tls.Config
	Log logr.Logger
	// Timeout bounds every call to the database but the first download; 0 means 10 s.
	Timeout time.Duration
}

// loadTimeout bounds the first download: 3 s for 50,000 Pods on an idle machine.
const loadTimeout = 2 * time.Minute

// Conn is one connection to NB: a monitored copy, an index of our rows and the right to write. It is never repaired:
// when the connection is lost, or a call runs into its deadline, Done is closed and the caller dials anew, because a
// restarted server may be another database.
//
// All methods but Changed and Done belong to one goroutine, the engine's.
type Conn struct {
	client  client.Client
	tables  []served // those that the server has
	timeout time.Duration
	index   *index
	epoch   string
	global  string // UUID of the NB_Global row, at the time of Acquire

	done    chan struct{}
	closing sync.Once
	wake    chan struct{}

	mu       sync.Mutex
	loaded   bool
	pending  []event
	doubtful []Owner // whose rows are not what our own transaction should have made of them
}

var _ Reader = (*Conn)(nil)

// event says that a row changed; what it looks like now is read from the cache, so that a late event does no harm.
type event struct {
	table *Table
	uuid  string
}

// Dial connects, downloads our columns of our tables and indexes them.
func Dial(ctx context.Context, cfg Config) (*Conn, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	there, err := cfg.tables(ctx)
	if err != nil {
		return nil, err
	}
	cl, err := cfg.newClient(there)
	if err != nil {
		return nil, err
	}
	c := &Conn{
		client: cl, tables: there, timeout: cfg.Timeout, index: newIndex(),
		done: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	if err := c.load(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Has tells whether the server has the table, and these of its columns.
func (c *Conn) Has(table string, columns ...string) bool {
	return slices.ContainsFunc(c.tables, func(t served) bool {
		return t.Name == table && !slices.ContainsFunc(columns, func(name string) bool { return slices.Contains(t.lacks, name) })
	})
}

// load connects and fills the cache and the index. Monitors name their columns: a column that the model lacks would stop
// the cache from following, without a word.
func (c *Conn) load(ctx context.Context) error {
	dialCtx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := c.client.Connect(dialCtx); err != nil {
		return fmt.Errorf("connect to northbound database: %w", err)
	}
	c.client.Cache().AddEventHandler(handler{c})
	monitor := &client.Monitor{Method: ovsdb.ConditionalMonitorRPC, Tables: c.monitors()}
	loadCtx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	if _, err := c.client.Monitor(loadCtx, monitor); err != nil {
		return fmt.Errorf("monitor northbound database: %w", err)
	}
	c.setLoaded() // from here on events count; the scan below may see their rows already
	c.Rescan()
	return nil
}

func (c *Conn) monitors() []client.TableMonitor {
	monitors := []client.TableMonitor{{Table: db.NBGlobalTable, Fields: []string{columnExternalIDs}}}
	for _, t := range c.tables {
		monitors = append(monitors, client.TableMonitor{Table: t.Name, Fields: t.monitored()})
	}
	return monitors
}

// Run watches the connection until it is lost or ctx ends. Done is closed when it returns.
func (c *Conn) Run(ctx context.Context) error {
	defer c.Close()
	probe := time.NewTicker(c.timeout)
	defer probe.Stop()
	lost := c.client.DisconnectNotify()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.done:
			return nil
		case <-lost:
			return errors.New("northbound database: connection lost")
		case <-probe.C:
			if err := c.echo(ctx); err != nil {
				return err
			}
		}
	}
}

// echo finds a server that is gone without closing the connection. A call without a deadline could freeze the client.
func (c *Conn) echo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := c.client.Echo(ctx); err != nil {
		return fmt.Errorf("northbound database does not answer: %w", err)
	}
	return nil
}

// Close drops the connection.
func (c *Conn) Close() {
	c.closing.Do(func() {
		close(c.done)
		c.client.Close()
	})
}

// Done is closed when the connection is of no more use.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Changed receives a value when rows have changed that Sync has not seen.
func (c *Conn) Changed() <-chan struct{} { return c.wake }

// Drift is what somebody else has changed.
type Drift struct {
	Owners []Owner // whose rows were changed or removed
	Refs   []Ref   // rows that came or went
}

// Sync brings the index up to date and returns what somebody else has changed since.
func (c *Conn) Sync() Drift {
	c.mu.Lock()
	events := c.pending
	drift := Drift{Owners: c.doubtful}
	c.pending, c.doubtful = nil, nil
	c.mu.Unlock()
	for _, e := range events {
		c.index.put(e.table, e.uuid, c.model(e.table, e.uuid), &drift)
	}
	return drift.tidy()
}

// Rescan reads every row again and returns what looked different before: events are hints, and may be lost.
func (c *Conn) Rescan() Drift {
	var drift Drift
	seen := make(map[string]bool, len(c.index.rows))
	for _, t := range c.tables {
		for uuid, m := range c.client.Cache().Table(t.Name).RowsShallow() {
			seen[uuid] = true
			m = t.whole(m)
			c.index.put(t.Table, uuid, m, &drift)
			c.index.share(uuid, m)
			c.index.forget(uuid)
		}
	}
	for uuid, e := range c.index.rows {
		if !seen[uuid] {
			c.index.put(e.Table, uuid, nil, &drift)
		}
	}
	return drift.tidy()
}

// tidy sorts, drops duplicates and the owner of rows that are nobody's.
func (d Drift) tidy() Drift {
	slices.SortFunc(d.Owners, Owner.Compare)
	d.Owners = slices.Compact(d.Owners)
	d.Owners = slices.DeleteFunc(d.Owners, func(o Owner) bool { return o == Owner{} })
	return d
}

// model reads a row from the cache; nil, and not a typed nil, when there is none.
func (c *Conn) model(t *Table, uuid string) model.Model {
	cache := c.client.Cache()
	if cache == nil {
		return nil
	}
	if m := cache.Table(t.Name).Row(uuid); m != nil {
		return c.served(t).whole(m)
	}
	return nil
}

func (c *Conn) served(t *Table) served {
	i := slices.IndexFunc(c.tables, func(s served) bool { return s.Table == t })
	return c.tables[i]
}

// Size counts the rows that carry an owner of ours.
func (c *Conn) Size() (n int) {
	for _, uuids := range c.index.byOwner {
		n += len(uuids)
	}
	return n
}

// Owners lists every owner that has rows.
func (c *Conn) Owners() []Owner {
	owners := make([]Owner, 0, len(c.index.byOwner))
	for o := range c.index.byOwner {
		owners = append(owners, o)
	}
	slices.SortFunc(owners, Owner.Compare)
	return owners
}

// Owned implements Reader.
func (c *Conn) Owned(o Owner) []Found { return c.index.found(c.index.byOwner[o]) }

// Find implements Reader.
func (c *Conn) Find(ref Ref) (Found, bool) {
	uuid, ok := c.index.byRef[ref]
	return c.index.rows[uuid].Found, ok
}

// Inside implements Reader.
func (c *Conn) Inside(ref Ref) []Found {
	list := make([]Found, 0, len(c.index.inside[ref]))
	for uuid := range c.index.inside[ref] {
		list = append(list, c.index.rows[uuid].Found)
	}
	return list
}

// Row implements Reader. A row that has just vanished reads as an empty one.
func (c *Conn) Row(f Found) model.Model {
	if m := c.index.rows[f.UUID].model; m != nil {
		return m
	}
	if m := c.model(f.Table, f.UUID); m != nil {
		return m
	}
	return emptyModel(f.Table)
}

// handler queues what changed.
type handler struct{ c *Conn }

func (h handler) OnAdd(table string, m model.Model)       { h.c.queue(table, m) }
func (h handler) OnUpdate(table string, _, m model.Model) { h.c.queue(table, m) }
func (h handler) OnDelete(table string, m model.Model)    { h.c.queue(table, m) }

func (c *Conn) queue(table string, m model.Model) {
	t := tablesByName[table]
	c.mu.Lock()
	defer c.mu.Unlock()
	if t == nil || !c.loaded {
		return
	}
	c.pending = append(c.pending, event{t, uuidOf(m)})
	c.signal()
}

func (c *Conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// doubt lets the next Sync name the owner.
func (c *Conn) doubt(o Owner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubtful = append(c.doubtful, o)
	c.signal()
}

func (c *Conn) setLoaded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loaded = true
}
