package nb

import (
	"fmt"
	"hash/maphash"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// row gives typed access to the managed columns of a model without copying them.
type row struct {
	table *Table
	value reflect.Value // the struct
}

func rowOf(t *Table, m model.Model) row { return row{t, reflect.ValueOf(m).Elem()} }

// column returns a pointer to the i-th managed column: *string, *int, *bool, **T of these, *[]string or
// *map[string]string.
func (r row) column(i int) any { return r.value.Field(r.table.fields[i]).Addr().Interface() }

// set returns the i-th managed column, which is a set of strings.
func (r row) set(i int) []string { return *r.column(i).(*[]string) }

func (r row) externalIDs() map[string]string {
	if r.table.externalIDs < 0 {
		if owner, ok := strings.CutPrefix(r.key(), namePrefix); ok {
			return map[string]string{keyOwner: owner}
		}
		return nil
	}
	return *r.value.Field(r.table.externalIDs).Addr().Interface().(*map[string]string)
}

// key is the value of the naming column, "" in tables without one.
func (r row) key() string {
	if r.table.Key == "" {
		return ""
	}
	return r.value.Field(r.table.keyField).String()
}

// equalColumn compares two values that column returned for the same column of two rows.
func equalColumn(a, b any) bool {
	switch a := a.(type) {
	case *string:
		return *a == *b.(*string)
	case *int:
		return *a == *b.(*int)
	case *bool:
		return *a == *b.(*bool)
	case **string:
		return equalOptional(*a, *b.(**string))
	case **int:
		return equalOptional(*a, *b.(**int))
	case **bool:
		return equalOptional(*a, *b.(**bool))
	case *[]string:
		return equalSet(*a, *b.(*[]string))
	case *map[string]string:
		return maps.Equal(*a, *b.(*map[string]string))
	}
	panic(fmt.Sprintf("column of type %T", a))
}

func equalOptional[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// equalSet compares without regard to order; ovsdb-server returns sets sorted, so the first test is the common case.
func equalSet(a, b []string) bool {
	if slices.Equal(a, b) {
		return true
	}
	return slices.Equal(distinct(a), distinct(b))
}

// distinct sorts, and drops what is there twice: ovsdb-server refuses a set with duplicates.
func distinct(members []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(members)))
}

// encode turns a column into OVSDB's notation (RFC 7047 section 5.1).
func encode(column any) any {
	switch c := column.(type) {
	case *string:
		return *c
	case *int:
		return *c
	case *bool:
		return *c
	case **string:
		return encodeOptional(*c)
	case **int:
		return encodeOptional(*c)
	case **bool:
		return encodeOptional(*c)
	case *[]string:
		return encodeSet(*c, false)
	case *map[string]string:
		return encodeMap(*c)
	}
	panic(fmt.Sprintf("column of type %T", column))
}

func encodeOptional[T any](v *T) ovsdb.OvsSet {
	if v == nil {
		return ovsdb.OvsSet{}
	}
	return ovsdb.OvsSet{GoSet: []any{*v}}
}

// encodeSet writes strings, or UUIDs and named UUIDs when the members are references.
func encodeSet(members []string, refs bool) ovsdb.OvsSet {
	if len(members) > 1 {
		members = distinct(members)
	}
	set := make([]any, len(members))
	for i, m := range members {
		set[i] = any(m)
		if refs {
			set[i] = ovsdb.UUID{GoUUID: m}
		}
	}
	return ovsdb.OvsSet{GoSet: set}
}

func encodeMap(m map[string]string) ovsdb.OvsMap {
	pairs := make(map[any]any, len(m))
	for k, v := range m {
		pairs[k] = v
	}
	return ovsdb.OvsMap{GoMap: pairs}
}

// isEmpty tells whether the column has the value that OVSDB gives a column that an insert leaves out.
func isEmpty(column any) bool {
	switch c := column.(type) {
	case *[]string:
		return len(*c) == 0
	case *map[string]string:
		return len(*c) == 0
	}
	return reflect.ValueOf(column).Elem().IsZero()
}

// encodable tells whether no text has a NUL byte: ovsdb-server takes it for the end of the JSON and drops the connection.
func (r row) encodable() bool {
	for i := range r.table.fields {
		switch c := r.column(i).(type) {
		case *string:
			if unencodable(*c) {
				return false
			}
		case *[]string:
			if slices.ContainsFunc(*c, unencodable) {
				return false
			}
		case *map[string]string:
			for k, v := range *c {
				if unencodable(k) || unencodable(v) {
					return false
				}
			}
		}
	}
	return true
}

func unencodable(s string) bool { return strings.IndexByte(s, 0) >= 0 }

var seed = maphash.MakeSeed()

// sum is a hash of everything that we manage in a row. It tells an event for our own change from somebody else's.
func (r row) sum() uint64 {
	var total uint64
	for i := range r.table.fields {
		total = total*31 + sumColumn(r.column(i))
	}
	ids := r.externalIDs()
	for _, key := range []string{keyOwner, keyID, keyIn} {
		total = total*31 + maphash.String(seed, ids[key])
	}
	return total
}

// sumColumn adds the hashes of the members of sets and maps, so that their order does not count.
func sumColumn(column any) uint64 {
	var total uint64
	switch c := column.(type) {
	case *string:
		return maphash.String(seed, *c)
	case *[]string:
		for _, s := range *c {
			total += maphash.String(seed, s)
		}
	case *map[string]string:
		for k, v := range *c {
			total += maphash.String(seed, k+"="+v)
		}
	default:
		return maphash.String(seed, scalarText(column))
	}
	return total
}

// scalarText prints an int, a bool or an optional scalar.
func scalarText(column any) string {
	v := reflect.ValueOf(column).Elem()
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Int:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	}
	return v.String()
}

func emptyModel(t *Table) model.Model { return reflect.New(reflect.TypeOf(t.model).Elem()).Interface() }

// uuidOf reads the _uuid of a model.
func uuidOf(m model.Model) string {
	return reflect.ValueOf(m).Elem().FieldByName("UUID").String()
}
