package nb_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// onEachSchema runs a test of the planner on the schema that is installed and on what other releases of OVN have instead.
func onEachSchema(t *testing.T, test func(*testing.T, string)) {
	t.Helper()
	t.Run("installed", func(t *testing.T) { test(t, ovstest.NorthboundSchema) })
	for _, variant := range variants {
		t.Run(variant.name, func(t *testing.T) { test(t, variant.file(t)) })
	}
}

var variants = []variant{
	{"OVN 22.03", schema.old},
	{"unknown columns", schema.widen},
	{"unknown tables", schema.grow},
}

// variant is the installed schema with a change.
type variant struct {
	name   string
	change func(schema)
}

// file writes the variant and returns where.
func (v variant) file(t *testing.T) string {
	t.Helper()
	s := readSchema(t)
	v.change(s)
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "variant.ovsschema")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// schema is OVSDB's schema format (RFC 7047, section 3.2).
type schema map[string]any

func readSchema(t *testing.T) schema {
	t.Helper()
	data, err := os.ReadFile(ovstest.NorthboundSchema)
	if err != nil {
		t.Skipf("OVN is not installed: %v", err)
	}
	var s schema
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s schema) tables() map[string]any { return s["tables"].(map[string]any) }

func (s schema) columns(table string) map[string]any {
	return s.tables()[table].(map[string]any)["columns"].(map[string]any)
}

// since2203 are the tables and columns that came after OVN 22.03, the oldest release that Heddle runs on, up to 25.03.
var since2203 = strings.Fields(`
	Static_MAC_Binding Chassis_Template_Var Mirror Mirror_Rule Sample Sample_Collector Sampling_App DHCP_Relay
	NAT.gateway_port NAT.match NAT.priority Logical_Switch_Port.mirror_rules Logical_Switch_Port.peer ACL.tier ACL.sample_new
	ACL.sample_est Logical_Router_Port.status Logical_Router_Port.dhcp_relay DNS.options Logical_Router_Policy.bfd_sessions
	Logical_Router_Policy.chain Logical_Router_Policy.jump_chain Logical_Router_Static_Route.selection_fields`)

func (s schema) old() {
	for _, name := range since2203 {
		if table, column, ok := strings.Cut(name, "."); !ok {
			delete(s.tables(), name)
		} else if s.tables()[table] != nil {
			delete(s.columns(table), column)
		}
	}
	s["version"] = "6.1.0"
}

// widened are tables that Heddle uses and that get a column which it does not know.
var widened = []string{"Logical_Switch", "Logical_Switch_Port", "Logical_Router", "Port_Group", "Address_Set", "ACL", "NB_Global"}

func (s schema) widen() {
	for _, table := range widened {
		s.columns(table)["later"] = map[string]any{"type": "string"}
	}
}

// grow adds a table, and columns that refer to it and to tables of ours.
func (s schema) grow() {
	set := func(table, kind string) map[string]any {
		return map[string]any{"type": map[string]any{
			"key": map[string]any{"type": "uuid", "refTable": table, "refType": kind}, "min": 0, "max": "unlimited",
		}}
	}
	s.tables()["Later"] = map[string]any{"columns": map[string]any{
		"name": map[string]any{"type": "string"}, "ports": set("Logical_Switch_Port", "weak"), "switches": set("Logical_Switch", "weak"),
	}}
	s.columns("Logical_Switch")["laters"] = set("Later", "strong")
	s.columns("Logical_Switch_Port")["laters"] = set("Later", "strong")
}

// TestTooOldSchema shows that a column which Heddle needs is missed at once, and named.
func TestTooOldSchema(t *testing.T) {
	tooOld := variant{"too old", func(s schema) { delete(s.columns("Logical_Switch_Port"), "options") }}
	server := ovstest.StartServer(t, tooOld.file(t))
	_, err := nb.Dial(t.Context(), nb.Config{Endpoints: []string{server.Endpoint}, Log: logr.Discard()})
	if err == nil || !strings.Contains(err.Error(), "options") || !strings.Contains(err.Error(), "LogicalSwitchPort") {
		t.Errorf("got %v", err)
	}
}

// TestLateTable shows that a table which the server may lack is known to be there or not, and is used where it is.
func TestLateTable(t *testing.T) {
	const late = "Chassis_Template_Var"
	old := dial(t, ovstest.StartServer(t, variants[0].file(t)))
	if old.Has(late) || !old.Has("Load_Balancer") {
		t.Errorf("OVN 22.03: has %s: %v, Load_Balancer: %v", late, old.Has(late), old.Has("Load_Balancer"))
	}
	apply(t, old, want(owner("subnet", "blue"), ls("blue")))
	conn := dial(t, ovstest.StartServer(t, ovstest.NorthboundSchema))
	if !conn.Has(late) {
		t.Fatalf("the installed schema has no %s", late)
	}
	n1 := owner("place", "n1")
	vars := func(v map[string]string) nb.Row {
		return nb.Row{ID: "c1", Model: &db.ChassisTemplateVar{Chassis: "c1", Variables: v}}
	}
	check(t, apply(t, conn, want(n1, vars(map[string]string{"a": "1"}))), "+ @Chassis_Template_Var/c1 (place/n1)")
	check(t, apply(t, conn, want(n1, vars(map[string]string{"a": "1", "b": "2"}))), "~ @Chassis_Template_Var/c1 variables (place/n1)")
	check(t, apply(t, conn, want(n1)), "- @Chassis_Template_Var/c1 (place/n1)")
}

// TestUnknownColumnChanges shows that the copy of the database follows a transaction that changes columns which Heddle does
// not know beside those that it does (a client that monitors whole tables stops following there, without a word).
func TestUnknownColumnChanges(t *testing.T) {
	server := ovstest.StartServer(t, variants[1].file(t))
	conn := dial(t, server)
	blue, web, g := owner("subnet", "blue"), owner("pod", "default/web"), owner("group", "g")
	wants := []nb.Want{
		want(blue, ls("blue")), want(web, lsp("web", "blue", "m 1")),
		want(g, group("g", "web"), set("s", "10.0.0.1"), acl("a", "g", "ip", 5)),
	}
	apply(t, conn, wants...)
	for _, round := range []string{"one", "two"} {
		server.Transact(strings.ReplaceAll(`["OVN_Northbound",
			{"op":"update","table":"NB_Global","where":[],"row":{"later":"ROUND"}},
			{"op":"update","table":"Logical_Switch","where":[],"row":{"later":"ROUND","other_config":["map",[["k","ROUND"]]]}},
			{"op":"update","table":"Logical_Switch_Port","where":[],"row":{"later":"ROUND","addresses":"ROUND"}},
			{"op":"update","table":"ACL","where":[],"row":{"later":"ROUND","priority":7}},
			{"op":"update","table":"Address_Set","where":[],"row":{"later":"ROUND","addresses":"ROUND"}},
			{"op":"insert","table":"Logical_Switch","row":{"name":"ROUND","later":"ROUND"}}]`, "ROUND", round))
		waitDrift(t, conn, g, web, blue)
		conn.Sync()
		conn.Rescan() // the event of the switch that is nobody's may come later than the others; the copy has it
		if _, ok := conn.Find(nb.Ref{Table: "Logical_Switch", ID: round}); !ok {
			t.Errorf("round %s: the new switch is not seen", round)
		}
		check(t, apply(t, conn, wants...), `
~ @Logical_Switch/blue other_config (subnet/blue)
~ @Logical_Switch_Port/web addresses (pod/default/web)
~ @Address_Set/s addresses (group/g)
~ @ACL/a priority (group/g)`)
	}
	if txn := nb.Plan(dial(t, server), wants); !txn.Empty() || len(txn.Blocked) > 0 {
		t.Errorf("a fresh process:\n%s", txn)
	}
}

// waitDrift waits until somebody else's change of these owners' rows is known, and of no others. The events of one
// transaction come one by one, and our own commit may wake us first.
func waitDrift(t *testing.T, conn *nb.Conn, owners ...nb.Owner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var seen []nb.Owner
	for len(seen) < len(owners) {
		select {
		case <-conn.Changed():
		case <-conn.Done():
			t.Fatal("the connection is lost")
		case <-ctx.Done():
			t.Fatalf("only the change of %v was noticed", seen)
		}
		seen = append(seen, conn.Sync().Owners...)
		slices.SortFunc(seen, nb.Owner.Compare)
		seen = slices.Compact(seen)
	}
	if !slices.Equal(seen, owners) {
		t.Errorf("changed: %v, want %v", seen, owners)
	}
}

// TestLateColumn shows that a column which the server may lack is known to be there or not, is written and followed where it is, and
// that its table works without it.
func TestLateColumn(t *testing.T) {
	tiers := variant{"tiers", func(s schema) { s.columns("ACL")["tier"] = map[string]any{"type": "integer"} }}
	g := owner("group", "g")
	row := func(tier, priority int) nb.Want {
		r := acl("a", "g", "ip", priority)
		r.Model.(*db.ACL).Tier = tier
		return want(g, group("g"), r)
	}
	for name, conn := range map[string]*nb.Conn{
		"without": dial(t, ovstest.StartServer(t, variants[0].file(t))), "with": dial(t, ovstest.StartServer(t, tiers.file(t))),
	} {
		has, tier := name == "with", map[string]int{"with": 2}[name]
		if conn.Has("ACL", "tier") != has || !conn.Has("ACL", "priority") {
			t.Errorf("%s: Has(tier) is %v", name, !has)
		}
		apply(t, conn, row(tier, 1))
		check(t, apply(t, conn, row(tier, 2)), "~ @ACL/a priority (group/g)")
		check(t, apply(t, conn, row(tier, 2)), "")
		if has {
			check(t, apply(t, conn, row(1, 2)), "~ @ACL/a tier (group/g)")
		}
		conn.Rescan()
		check(t, apply(t, conn, want(g)), "- @ACL/a (group/g)\n- @Port_Group/g (group/g)")
	}
}

// TestMeter shows that a Meter comes with its band, which it must have from the first moment on, that its rate changes, and that both go.
func TestMeter(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	conn := dial(t, server)
	p := owner("networkpolicy", "blue/log")
	rows := func(rate int) nb.Want {
		band := nb.Row{ID: "m", Model: &db.MeterBand{Action: "drop", Rate: rate}}
		return want(p, band, nb.Row{ID: "m", Model: &db.Meter{Name: "m", Unit: "pktps", Bands: []string{band.Ref().String()}}})
	}
	check(t, apply(t, conn, rows(1)), "+ @Meter_Band/m (networkpolicy/blue/log)\n+ @Meter/m (networkpolicy/blue/log)")
	check(t, apply(t, conn, rows(2)), "~ @Meter_Band/m rate (networkpolicy/blue/log)")
	fresh := dial(t, server)
	if txn := nb.Plan(fresh, []nb.Want{rows(2)}); !txn.Empty() || len(txn.Blocked) > 0 {
		t.Errorf("a fresh process:\n%s", txn)
	}
	check(t, apply(t, fresh, want(p)), "- @Meter/m (networkpolicy/blue/log)\n- @Meter_Band/m (networkpolicy/blue/log)")
}
