package nb

import (
	"reflect"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// served is a table as one server has it.
type served struct {
	*Table
	lacks []string // columns
}

// serves lists our tables that a server has.
func serves(schema ovsdb.DatabaseSchema) (there []served) {
	for i := range tables {
		t := served{Table: &tables[i]}
		columns := schema.Table(t.Name)
		if columns == nil && t.Late {
			continue
		}
		for _, c := range t.Columns {
			if c.Late && columns != nil && columns.Column(c.Name) == nil {
				t.lacks = append(t.lacks, c.Name)
			}
		}
		there = append(there, t)
	}
	return there
}

// clientModel is what the client library fills: it refuses a model with a column that the server lacks. Without the tag that says
// so, the field is none of its business.
func (t served) clientModel() model.Model {
	if len(t.lacks) == 0 {
		return t.model
	}
	typ := reflect.TypeOf(t.model).Elem()
	fields := make([]reflect.StructField, typ.NumField())
	for i := range fields {
		fields[i] = typ.Field(i)
		if slices.Contains(t.lacks, fields[i].Tag.Get("ovsdb")) {
			fields[i].Tag = ""
		}
	}
	return reflect.New(reflect.StructOf(fields)).Interface()
}

// whole returns what the client has filled as the model that everybody knows: types that differ in tags alone are one in memory.
func (t served) whole(m model.Model) model.Model {
	if len(t.lacks) == 0 {
		return m
	}
	return reflect.ValueOf(m).Convert(reflect.TypeOf(t.model)).Interface()
}

// monitored lists the columns of the table that the client asks for.
func (t served) monitored() []string {
	var names []string
	if t.externalIDs >= 0 {
		names = append(names, columnExternalIDs)
	}
	for _, c := range t.Columns {
		if !slices.Contains(t.lacks, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}
