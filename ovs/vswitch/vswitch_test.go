package vswitch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heddle-net/heddle/ovs/ovstest"
)

const schema = "/usr/share/openvswitch/vswitch.ovsschema"

// start runs a database with a root row and the bridges br-int and br-phy, and a client of it.
func start(t *testing.T, schema string) (*ovstest.Server, *Client) {
	t.Helper()
	s := ovstest.StartServer(t, schema)
	return s, connect(t, s, s.Endpoint)
}

// counted is start where the client's transactions are counted.
func counted(t *testing.T, schema string) (*ovstest.Server, *Client, *atomic.Int64) {
	t.Helper()
	s := ovstest.StartServer(t, schema)
	proxy, sent := ovstest.CountTransactions(t, s.Endpoint)
	return s, connect(t, s, proxy), sent
}

func connect(t *testing.T, s *ovstest.Server, endpoint string) *Client {
	t.Helper()
	initialize(s)
	c, err := Connect(t.Context(), Config{Endpoint: endpoint, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	secure := "secure"
	if err := c.EnsureBridge(t.Context(), Bridge{Name: "br-int", DatapathType: "netdev", FailMode: &secure}); err != nil {
		t.Fatal(err)
	}
	if err := c.EnsureBridge(t.Context(), Bridge{Name: "br-phy"}, Port{Name: "nic0"}); err != nil {
		t.Fatal(err)
	}
	return c
}

func initialize(s *ovstest.Server) {
	s.Transact(`["Open_vSwitch", {"op": "insert", "table": "Open_vSwitch", "row": {"external_ids": ["map", [["theirs", "1"]]]}}]`)
}

// ports of a bridge, by name.
func ports(t *testing.T, c *Client, bridge string) string {
	t.Helper()
	b, err := c.Bridge(t.Context(), bridge)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := find(t.Context(), c, func(p *portRow) bool { return slices.Contains(b.Ports, p.UUID) })
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range rows {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func pod(name, id string) Port {
	return Port{Bridge: "br-int", Name: name, ExternalIDs: map[string]string{KeyIfaceID: id}}
}

func named(name string) func(*Interface) bool {
	return func(i *Interface) bool { return i.Name == name }
}

func TestPorts(t *testing.T) {
	_, c, sent := counted(t, schema)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.AddPort(ctx, pod("hd1", "web.default")))
	must(c.AddPort(ctx, pod("hd2", "db.default")))
	must(c.AddPort(ctx, Port{Bridge: "br-phy", Name: "old", ExternalIDs: map[string]string{KeyIfaceID: "api.default"}}))
	if got := ports(t, c, "br-int"); got != "br-int hd1 hd2" {
		t.Errorf("ports of br-int: %s", got)
	}
	must(c.AddPort(ctx, pod("hd3", "api.default"))) // takes over from another bridge
	must(c.AddPort(ctx, pod("hd4", "web.default"))) // and from this one
	must(c.AddPort(ctx, pod("hd2", "new.default"))) // a row of that name is in the way
	if got := ports(t, c, "br-int") + "; " + ports(t, c, "br-phy"); got != "br-int hd2 hd3 hd4; br-phy nic0" {
		t.Errorf("ports: %s", got)
	}
	if on, err := c.BridgeOf(ctx, "hd3"); err != nil || on != "br-int" {
		t.Errorf("hd3 is on %q, %v", on, err)
	}
	if err := c.AddPort(ctx, Port{Bridge: "br-x", Name: "hd9"}); !errors.Is(err, ErrNoBridge) || err.Error() != "add port hd9: bridge br-x: no such bridge" {
		t.Errorf("got %v", err)
	}
	ifaces, err := c.Interfaces(ctx, func(i *Interface) bool { return strings.HasPrefix(i.Name, "hd") })
	must(err)
	must(c.DelPorts(ctx, ifaces))
	before := sent.Load()
	must(c.DelPorts(ctx, ifaces)) // gone already
	must(c.DelPorts(ctx, nil))
	if sent.Load() != before || ports(t, c, "br-int") != "br-int" {
		t.Errorf("removed twice: %s", ports(t, c, "br-int"))
	}
	must(c.DelBridge(ctx, "br-phy"))
	must(c.DelBridge(ctx, "br-phy"))
	if rows, err := c.Interfaces(ctx, named("nic0")); err != nil || len(rows) != 0 {
		t.Errorf("the bridge's ports outlive it: %v, %v", rows, err)
	}
}

// TestQdiscs: ports that are added with qdiscs of their own and those that had none yet share a row, which goes when it is asked to.
func TestQdiscs(t *testing.T) {
	_, c, sent := counted(t, schema)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.AddPort(t.Context(), Port{Bridge: "br-int", Name: "old"}))
	must(c.AddPort(t.Context(), Port{Bridge: "br-int", Name: "other"}))
	old, err := c.Interfaces(t.Context(), func(i *Interface) bool { return i.Name == "old" })
	must(err)
	must(c.LeaveQdiscs(t.Context(), old))
	must(c.AddPort(t.Context(), Port{Bridge: "br-int", Name: "new", OwnQdiscs: true}))
	left := func() string {
		t.Helper()
		must(c.Sync(t.Context()))
		ports, err := find(t.Context(), c, func(p *portRow) bool { return p.QoS != nil })
		must(err)
		rows, err := find(t.Context(), c, func(*qosRow) bool { return true })
		must(err)
		var names []string
		for _, p := range ports {
			names = append(names, p.Name)
		}
		slices.Sort(names)
		return fmt.Sprintf("%d rows, ports %s", len(rows), strings.Join(names, " "))
	}
	if got := left(); got != "1 rows, ports new old" {
		t.Error(got)
	}
	before := sent.Load()
	must(c.LeaveQdiscs(t.Context(), old))
	if after := sent.Load(); after != before {
		t.Errorf("%d transactions, though all is so", after-before)
	}
	all, err := c.Interfaces(t.Context(), func(*Interface) bool { return true })
	must(err)
	must(c.DelPorts(t.Context(), all))
	must(c.ForgetQdiscs(t.Context()))
	if got := left(); got != "0 rows, ports " {
		t.Error(got)
	}
}

func TestEnsureWritesOnlyDifferences(t *testing.T) {
	s, c, sent := counted(t, schema)
	ctx := t.Context()
	secure := "secure"
	bridge := Bridge{Name: "br-int", DatapathType: "netdev", FailMode: &secure, OtherConfig: map[string]string{"hwaddr": "0a:00:00:00:00:01"}, ExternalIDs: map[string]string{"a": "1"}}
	internal := Port{Bridge: "br-int", Name: "ovn0", Type: "internal", MAC: "0a:58:64:40:00:02", MTU: 1400, ExternalIDs: map[string]string{KeyIfaceID: "node-n1"}}
	ensure := func() {
		t.Helper()
		if err := errors.Join(c.EnsureBridge(ctx, bridge), c.EnsurePort(ctx, internal)); err != nil {
			t.Fatal(err)
		}
	}
	ensure()
	s.Transact(`["Open_vSwitch", {"op": "mutate", "table": "Interface", "where": [["name", "==", "ovn0"]], "mutations": [["external_ids", "insert", ["map", [["ovn-installed", "true"]]]]]}]`)
	before := sent.Load()
	ensure()
	if sent.Load() != before {
		t.Error("written although nothing differs")
	}
	bridge.ExternalIDs["a"], bridge.DatapathType = "2", "system"
	internal.MTU, internal.MAC = 1300, "0a:58:64:40:00:03"
	ensure()
	rows, err := c.Interfaces(ctx, named("ovn0"))
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	i := rows[0]
	if *i.MTURequest != 1300 || *i.MAC != internal.MAC || !i.Installed() || !i.Ours() {
		t.Errorf("interface: %+v", i)
	}
	if b, err := c.Bridge(ctx, "br-int"); err != nil || b.ExternalIDs["a"] != "2" || b.DatapathType != "system" || b.OtherConfig["hwaddr"] == "" {
		t.Errorf("bridge: %+v, %v", b, err)
	}
	internal.Bridge = "br-phy" // moves
	ensure()
	if got := ports(t, c, "br-int") + "; " + ports(t, c, "br-phy"); got != "br-int; br-phy nic0 ovn0" {
		t.Errorf("ports: %s", got)
	}
}

func TestExternalIDs(t *testing.T) {
	_, c, sent := counted(t, schema)
	ctx := t.Context()
	for _, step := range []struct {
		want    map[string]string
		have    string
		written bool
	}{
		{map[string]string{"a": "1", "b": "2", "none": ""}, "map[a:1 b:2 theirs:1]", true},
		{map[string]string{"a": "1", "b": "2", "none": ""}, "map[a:1 b:2 theirs:1]", false},
		{map[string]string{"a": "3", "b": ""}, "map[a:3 theirs:1]", true},
	} {
		before := sent.Load()
		if err := c.SetExternalIDs(ctx, step.want); err != nil {
			t.Fatal(err)
		}
		got, err := c.ExternalIDs(ctx)
		if err != nil || fmt.Sprint(got) != step.have {
			t.Errorf("%v: got %v, %v, want %s", step.want, got, err, step.have)
		}
		if written := sent.Load() != before; written != step.written {
			t.Errorf("%v: written %t", step.want, written)
		}
	}
}

func TestWaitInstalled(t *testing.T) {
	s, c := start(t, schema)
	set := func(name, columns string) {
		s.Transact(fmt.Sprintf(`["Open_vSwitch", {"op": "update", "table": "Interface", "where": [["name", "==", %q]], "row": {%s}}]`, name, columns))
	}
	for _, step := range []struct{ name, columns, want string }{
		{"hd1", `"ofport": 7, "external_ids": ["map", [["ovn-installed", "true"]]]`, ""},
		{"hd2", `"ofport": -1, "error": "could not open network device hd2 (No such device)"`, "interface hd2: ovs-vswitchd: could not open network device hd2 (No such device)"},
	} {
		if err := c.AddPort(t.Context(), pod(step.name, step.name)); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- c.WaitInstalled(t.Context(), step.name) }()
		set(step.name, step.columns)
		if err := <-done; fmt.Sprint(err) != step.want && (err != nil || step.want != "") {
			t.Errorf("got %v, want %q", err, step.want)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := c.AddPort(t.Context(), pod("hd3", "api.default")); err != nil {
		t.Fatal(err)
	}
	set("hd3", `"ofport": 8`)
	const want = "interface hd3: context deadline exceeded\novn-controller has not installed logical port api.default"
	if err := c.WaitInstalled(short, "hd3"); !errors.Is(err, context.DeadlineExceeded) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := c.WaitInstalled(t.Context(), "hd9"); fmt.Sprint(err) != "interface hd9: the row is gone" {
		t.Errorf("got %v", err)
	}
	if err := c.WaitInstalled(short, "hd1"); err != nil {
		t.Errorf("installed before the deadline that has passed: %v", err)
	}
}

func TestSubscribe(t *testing.T) {
	_, c := start(t, schema)
	if err := c.AddPort(t.Context(), Port{Bridge: "br-int", Name: "fence"}); err != nil {
		t.Fatal(err)
	}
	mine, done := c.Subscribe(func(name string) bool { return name == "mine" })
	defer done()
	fence, done2 := c.Subscribe(func(name string) bool { return name == "fence-2" })
	defer done2()
	for _, name := range []string{"other", "fence-2"} { // events come in order
		if err := c.AddPort(t.Context(), Port{Bridge: "br-int", Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	<-fence
	select {
	case <-mine:
		t.Error("woken by the port of another")
	default:
	}
	if err := c.AddPort(t.Context(), Port{Bridge: "br-int", Name: "mine"}); err != nil {
		t.Fatal(err)
	}
	<-mine
}

// TestControllerKeys: what ovn-controller writes on its bridge is no change of the bridge, and its nb_cfg wakes who waits for that.
func TestControllerKeys(t *testing.T) {
	s, c := start(t, schema)
	set := func(key, value string) {
		s.Transact(fmt.Sprintf(`["Open_vSwitch", {"op": "mutate", "table": "Bridge", "where": [["name", "==", "br-int"]], "mutations": [
			["external_ids", "delete", ["set", [%[1]q]]], ["external_ids", "insert", ["map", [[%[1]q, %[2]q]]]]]}]`, key, value))
	}
	fence, done := c.Subscribe(func(name string) bool { return name == "fence" })
	defer done()
	if err := c.AddPort(t.Context(), Port{Bridge: "br-int", Name: "fence"}); err != nil {
		t.Fatal(err)
	}
	<-fence // events come in order: those of the start are over
	bridge, done := c.Subscribe(func(name string) bool { return name == "br-int" })
	defer done()
	installed, done := c.SubscribeInstalled()
	defer done()
	set("ct-zone-api.default", "7")
	set("ovn-nb-cfg", "5")
	<-installed
	select {
	case <-bridge:
		t.Error("ovn-controller's keys are told as a change of the bridge")
	default:
	}
	set("ct-zone-api.default", "8")
	set("theirs", "1")
	<-bridge
	select {
	case <-installed:
		t.Error("another key is told as ovn-controller's nb_cfg")
	default:
	}
}

// TestServerGoes takes the server away in each of the ways that happen.
func TestServerGoes(t *testing.T) {
	s, c := start(t, schema)
	ctx := t.Context()
	t.Run("restarts", func(t *testing.T) {
		s.Kill()
		done := make(chan error)
		go func() { done <- c.AddPort(ctx, pod("hd1", "web.default")) }()
		s.Start()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := ports(t, c, "br-int"); got != "br-int hd1" {
			t.Errorf("ports: %s", got)
		}
	})
	t.Run("hangs", func(t *testing.T) {
		s.Freeze()
		begin := time.Now()
		err := c.AddPort(ctx, pod("hd2", "db.default"))
		s.Thaw()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 4*time.Second {
			t.Errorf("after %s: %v, want the client's own deadline of 2 s", time.Since(begin), err)
		}
		// It is carried out now, after its caller has given up.
		if err := c.Sync(ctx); err != nil {
			t.Error(err)
		}
		if got := ports(t, c, "br-int"); got != "br-int hd1 hd2" {
			t.Errorf("ports: %s", got)
		}
		s.Freeze()
		if err := c.Sync(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("in step with a server that hangs: %v", err)
		}
		s.Thaw()
	})
	t.Run("loses its files", func(t *testing.T) {
		s.Recreate(schema)
		initialize(s)
		if err := c.EnsureBridge(ctx, Bridge{Name: "br-int"}); err != nil {
			t.Fatal(err)
		}
		if err := c.AddPort(ctx, pod("hd1", "web.default")); err != nil {
			t.Fatal(err)
		}
		if got := ports(t, c, "br-int"); got != "br-int hd1" {
			t.Errorf("ports: %s", got)
		}
	})
}

// TestNewerSchema has columns that the models do not know, and changes them together with ones that they do.
func TestNewerSchema(t *testing.T) {
	b, err := os.ReadFile(schema)
	if err != nil {
		t.Skip(err)
	}
	var db map[string]any
	if err := json.Unmarshal(b, &db); err != nil {
		t.Fatal(err)
	}
	for _, table := range db["tables"].(map[string]any) {
		columns := table.(map[string]any)["columns"].(map[string]any)
		columns["from_the_future"] = map[string]any{"type": "string"}
	}
	if b, err = json.Marshal(db); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(t.TempDir(), "newer.ovsschema")
	if err := os.WriteFile(newer, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, c := start(t, newer)
	s.Transact(`["Open_vSwitch", {"op": "update", "table": "Bridge", "where": [["name", "==", "br-int"]], "row": {"from_the_future": "x", "external_ids": ["map", [["seen", "yes"]]]}}]`)
	if err := c.SetExternalIDs(t.Context(), map[string]string{"barrier": "1"}); err != nil {
		t.Fatal(err)
	}
	if b, err := c.Bridge(t.Context(), "br-int"); err != nil || !maps.Equal(b.ExternalIDs, map[string]string{"seen": "yes"}) {
		t.Errorf("the cache has diverged: %+v, %v", b, err)
	}
}

func TestEmptyDatabase(t *testing.T) {
	s := ovstest.StartServer(t, schema)
	c, err := Connect(t.Context(), Config{Endpoint: s.Endpoint})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.EnsureBridge(t.Context(), Bridge{Name: "br-int"}); fmt.Sprint(err) != "bridge br-int: the Open_vSwitch table is empty" {
		t.Errorf("got %v", err)
	}
}

func TestConnectWaitsForTheServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Connect(ctx, Config{Endpoint: "unix:" + filepath.Join(t.TempDir(), "nobody")})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestQdiscsAtOnce: ports that come at once share one row, too.
func TestQdiscsAtOnce(t *testing.T) {
	_, c := start(t, schema)
	var group errgroup.Group
	for n := range 20 {
		group.Go(func() error {
			return c.AddPort(t.Context(), Port{Bridge: "br-int", Name: fmt.Sprint("p", n), OwnQdiscs: true})
		})
	}
	if err := errors.Join(group.Wait(), c.Sync(t.Context())); err != nil {
		t.Fatal(err)
	}
	if rows, err := find(t.Context(), c, ourNoop); err != nil || len(rows) != 1 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}
