package state

import (
	"maps"
	"slices"

	"github.com/heddle-net/heddle/ovs/nb"
)

// Table holds the objects of one kind by key. An object is never changed after Put.
type Table[T any] struct {
	store *Store
	id    tableID
	// kind is the owner kind that compiles the objects of this table; empty when they are only read.
	kind    string
	equal   func(a, b *T) bool
	indexes []index[T]
	rows    map[string]*T
	// moved says which groups an object changes, which Pods bring about by what they are and where; nil for other tables.
	moved func(key string, old, now *T) []nb.Owner
}

// index finds objects by a value derived from them.
type index[T any] struct {
	value func(*T) string
	keys  map[string]map[string]bool // value → keys
	lists map[string][]*T            // value → objects in order of their keys, until one of them changes
}

func newTable[T any](s *Store, id tableID, kind string, equal func(a, b *T) bool, values ...func(*T) string) *Table[T] {
	t := &Table[T]{store: s, id: id, kind: kind, equal: equal, rows: make(map[string]*T)}
	for _, value := range values {
		t.indexes = append(t.indexes, index[T]{value, make(map[string]map[string]bool), make(map[string][]*T)})
	}
	return t
}

// Put stores the object. If it differs from what was there, the owners that read it become dirty together, as one change.
func (t *Table[T]) Put(key string, obj *T) {
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	old := t.rows[key]
	if old != nil && t.equal(old, obj) {
		return
	}
	t.rows[key] = obj
	t.reindex(key, old, obj)
	t.dirty(key, old, obj)
}

// Delete removes the object, if it is there.
func (t *Table[T]) Delete(key string) {
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	old := t.rows[key]
	if old == nil {
		return
	}
	delete(t.rows, key)
	t.reindex(key, old, nil)
	t.dirty(key, old, nil)
}

// Get returns the object without recording a read: for the deciders and reporters around the compilers. Nil when there is
// none.
func (t *Table[T]) Get(key string) *T {
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	return t.rows[key]
}

// Keys lists the keys in order, without recording a read.
func (t *Table[T]) Keys() []string {
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	return slices.Sorted(maps.Keys(t.rows))
}

func (t *Table[T]) reindex(key string, old, now *T) {
	for _, x := range t.indexes {
		if old != nil {
			value := x.value(old)
			delete(x.lists, value)
			delete(x.keys[value], key)
			if len(x.keys[value]) == 0 {
				delete(x.keys, value)
			}
		}
		if now != nil {
			value := x.value(now)
			delete(x.lists, value)
			if x.keys[value] == nil {
				x.keys[value] = make(map[string]bool)
			}
			x.keys[value][key] = true
		}
	}
}

// dirty marks the owner of the object and everybody who read it, by key or through an index.
func (t *Table[T]) dirty(key string, old, now *T) {
	owners := make(map[nb.Owner]bool)
	if t.kind != "" {
		owners[nb.Owner{Kind: t.kind, Key: key}] = true
	}
	t.store.readersOf(read{t.id, 0, key}, owners)
	for i, x := range t.indexes {
		for _, obj := range []*T{old, now} {
			if obj != nil {
				t.store.readersOf(read{t.id, uint8(i + 1), x.value(obj)}, owners)
			}
		}
	}
	if t.moved != nil {
		for _, group := range t.moved(key, old, now) {
			owners[group] = true
		}
	}
	t.store.queue.add(slices.SortedFunc(maps.Keys(owners), nb.Owner.Compare))
}

// get is the recorded form of Get. An owner's own object needs no record: it always makes its owner dirty.
func (t *Table[T]) get(v *View, key string) *T {
	if v.owner.Kind != t.kind || v.owner.Key != key {
		v.record(read{t.id, 0, key})
	}
	return t.rows[key]
}

// by lists, in order of their keys, the objects with that value in the i-th index, and records the read. Every Subnet reads
// all Subnets: the list is made once, and must not be changed.
func (t *Table[T]) by(v *View, i int, value string) []*T {
	v.record(read{t.id, uint8(i + 1), value})
	x := t.indexes[i]
	if list, ok := x.lists[value]; ok {
		return list
	}
	list := make([]*T, 0, len(x.keys[value]))
	for _, key := range slices.Sorted(maps.Keys(x.keys[value])) {
		list = append(list, t.rows[key])
	}
	x.lists[value] = list
	return list
}
