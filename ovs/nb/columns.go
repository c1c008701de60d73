package nb

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/model"

	"github.com/heddle-net/heddle/ovs/nb/db"
)

// Keys that the planner keeps in external_ids of its rows.
const (
	keyOwner = "heddle-owner" // Owner.String
	keyID    = "heddle-id"    // Row.ID, in tables whose rows have no name
	keyIn    = "heddle-in"    // where the row is listed: Edge.String, comma separated
)

// Kube-OVN marks its rows with external_ids:vendor=kube-ovn; a row with this mark and the name of one that we want is
// adopted.
const (
	keyVendor     = "vendor"
	vendorKubeOVN = "kube-ovn"
)

// columnExternalIDs is managed in every table, key by key: other programs keep their own keys in it.
const columnExternalIDs = "external_ids"

// Table says how the rows of one NB table are managed.
type Table struct {
	Name string
	// Key is the column that names a row, empty when none does.
	Key string
	// Root tells whether a row lives without a parent (isRoot in the schema).
	Root bool
	// Late marks a table that releases of OVN since 22.03 have added. Where it is missing (Conn.Has), no row of it may be wanted.
	Late bool
	// Columns are compared and written; every other column belongs to somebody else (northd, an admin).
	Columns []Column

	model       model.Model
	fields      []int // struct field of each of Columns
	members     int   // index of the column with Members, -1 when there is none
	keyField    int
	externalIDs int // -1 when the table has none: see NameOf
}

// Column is a managed column. Sets are compared as sets, maps by key.
type Column struct {
	Name string
	// Refs marks a set of weak references: a member that does not exist is left out, and the owner is told.
	Refs bool
	// Members marks a set that grows with the cluster. It is changed by mutation: replacing 10,000 members costs the
	// server and every client 30 times as much (OVSDB has no diff in an update). A table has at most one (members.go).
	Members bool
	// Late marks a column that releases of OVN since 22.03 have added. Where it is missing (Conn.Has), only its default may be
	// wanted.
	Late bool
}

// tables is everything that the controller manages in NB. To use a new table or column, add it here and in
// db/ovn-nb.ovsschema.
var tables = buildTables([]Table{
	{Name: db.LogicalRouterTable, Key: "name", Root: true, model: &db.LogicalRouter{}, Columns: []Column{{Name: "options"}}},
	{Name: db.LogicalRouterPortTable, Key: "name", model: &db.LogicalRouterPort{}, Columns: []Column{
		{Name: "mac"}, {Name: "networks"}, {Name: "options"},
	}},
	{Name: db.LogicalRouterPolicyTable, model: &db.LogicalRouterPolicy{}, Columns: []Column{
		{Name: "priority"}, {Name: "match"}, {Name: "action"}, {Name: "nexthops"}, {Name: "options"},
	}},
	{Name: db.LogicalRouterStaticRouteTable, model: &db.LogicalRouterStaticRoute{}, Columns: []Column{
		{Name: "ip_prefix"}, {Name: "nexthop"}, {Name: "policy"}, {Name: "route_table"}, {Name: "options"},
	}},
	{Name: db.LogicalSwitchTable, Key: "name", Root: true, model: &db.LogicalSwitch{}, Columns: []Column{
		{Name: "other_config"}, {Name: "load_balancer_group", Refs: true, Members: true},
	}},
	{Name: db.LogicalSwitchPortTable, Key: "name", model: &db.LogicalSwitchPort{}, Columns: []Column{
		{Name: "type"}, {Name: "options"}, {Name: "addresses"}, {Name: "port_security"}, {Name: "enabled"}, {Name: "mirror_rules", Refs: true, Members: true, Late: true},
	}},
	{Name: db.MirrorTable, Key: "name", Root: true, Late: true, model: &db.Mirror{}, Columns: []Column{
		{Name: "type"}, {Name: "filter"}, {Name: "sink"}, {Name: "index"},
	}},
	{Name: db.PortGroupTable, Key: "name", Root: true, model: &db.PortGroup{}, Columns: []Column{
		{Name: "ports", Refs: true, Members: true},
	}},
	{Name: db.AddressSetTable, Key: "name", Root: true, model: &db.AddressSet{}, Columns: []Column{
		{Name: "addresses", Members: true},
	}},
	{Name: db.LoadBalancerTable, Key: "name", Root: true, model: &db.LoadBalancer{}, Columns: []Column{
		{Name: "vips"}, {Name: "protocol"}, {Name: "options"}, {Name: "selection_fields"}, {Name: "ip_port_mappings"},
	}},
	{Name: db.LoadBalancerHealthCheckTable, model: &db.LoadBalancerHealthCheck{}, Columns: []Column{{Name: "vip"}, {Name: "options"}}},
	{Name: db.LoadBalancerGroupTable, Key: "name", Root: true, model: &db.LoadBalancerGroup{}},
	{Name: db.ChassisTemplateVarTable, Key: "chassis", Root: true, Late: true, model: &db.ChassisTemplateVar{}, Columns: []Column{
		{Name: "variables"},
	}},
	{Name: db.MeterTable, Key: "name", Root: true, model: &db.Meter{}, Columns: []Column{
		{Name: "unit"}, {Name: "bands", Refs: true, Members: true}, {Name: "fair"},
	}},
	// A band lives in its Meter, which must have one from the first moment on: so it is not listed there later, as children are, but
	// named by the Meter itself.
	{Name: db.MeterBandTable, Root: true, model: &db.MeterBand{}, Columns: []Column{{Name: "action"}, {Name: "rate"}}},
	{Name: db.ACLTable, model: &db.ACL{}, Columns: []Column{
		{Name: "priority"},
		{Name: "direction"},
		{Name: "match"},
		{Name: "action"},
		{Name: "log"},
		{Name: "severity"},
		{Name: "meter"},
		{Name: "name"},
		{Name: "options"},
		{Name: "tier", Late: true},
	}},
})

// tablesByName and tablesByType find a Table from OVN's name and from the model's type.
var tablesByName, tablesByType = indexTables(tables)

func indexTables(list []Table) (map[string]*Table, map[reflect.Type]*Table) {
	byName, byType := make(map[string]*Table, len(list)), make(map[reflect.Type]*Table, len(list))
	for i := range list {
		byName[list[i].Name], byType[reflect.TypeOf(list[i].model)] = &list[i], &list[i]
	}
	return byName, byType
}

// buildTables resolves column names to struct fields once, so that comparing rows needs no name look-ups.
func buildTables(list []Table) []Table {
	for i := range list {
		t := &list[i]
		if t.Key != "" {
			t.Columns = append([]Column{{Name: t.Key}}, t.Columns...)
			t.keyField = fieldOf(t, t.Key)
		}
		t.members = slices.IndexFunc(t.Columns, func(c Column) bool { return c.Members })
		for _, c := range t.Columns {
			t.fields = append(t.fields, fieldOf(t, c.Name))
		}
		t.externalIDs = -1
		if t.Name != db.LoadBalancerGroupTable {
			t.externalIDs = fieldOf(t, columnExternalIDs)
		}
	}
	return list
}

func fieldOf(t *Table, column string) int {
	typ := reflect.TypeOf(t.model).Elem()
	for i := range typ.NumField() {
		if typ.Field(i).Tag.Get("ovsdb") == column {
			return i
		}
	}
	panic(fmt.Sprintf("table %s: the model has no column %s", t.Name, column))
}

// tableOf is the Table of a model. A model of an unmanaged table is a programming error.
func tableOf(m model.Model) *Table {
	t := tablesByType[reflect.TypeOf(m)]
	if t == nil {
		panic(fmt.Sprintf("%T is not a managed table", m))
	}
	return t
}
