package state

import (
	"iter"
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
	// moved says which groups an object changes, which Pods bring about by what they are and where, and who else must know; nil
	// for other tables.
	moved func(key string, old, now *T) []nb.Owner
}

// index finds objects by values derived from them.
type index[T any] struct {
	values func(*T) []string
	keys   map[string]*keySet // value → keys
	lists  map[string][]*T    // value → objects in order of their keys, until one of them changes
}

func newTable[T any](s *Store, id tableID, kind string, equal func(a, b *T) bool, values ...func(*T) string) *Table[T] {
	t := &Table[T]{store: s, id: id, kind: kind, equal: equal, rows: make(map[string]*T)}
	for _, value := range values {
		t.indexByAll(func(obj *T) []string { return []string{value(obj)} })
	}
	return t
}

// indexByAll adds an index in which an object is found by each of some values, or by none.
func (t *Table[T]) indexByAll(values func(*T) []string) {
	t.indexes = append(t.indexes, index[T]{values, make(map[string]*keySet), make(map[string][]*T)})
}

// keySet is the keys of the objects with one value. Most have one member: 50,000 addresses, say.
type keySet struct {
	one  string
	more map[string]bool
}

func (k *keySet) add(key string) {
	if k.one == "" && len(k.more) == 0 {
		k.one = key
		return
	}
	if k.more == nil {
		k.more = make(map[string]bool)
	}
	k.more[key] = true
}

// remove reports whether nothing is left.
func (k *keySet) remove(key string) (empty bool) {
	if k.one == key {
		k.one = ""
	}
	delete(k.more, key)
	return k.one == "" && len(k.more) == 0
}

// all is every key, in no order; there may be no set.
func (k *keySet) all() iter.Seq[string] {
	return func(yield func(string) bool) {
		if k == nil || k.one != "" && !yield(k.one) {
			return
		}
		for key := range k.more {
			if !yield(key) {
				return
			}
		}
	}
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
		for _, value := range x.valuesOf(old) {
			delete(x.lists, value)
			if x.keys[value].remove(key) {
				delete(x.keys, value)
			}
		}
		for _, value := range x.valuesOf(now) {
			delete(x.lists, value)
			if x.keys[value] == nil {
				x.keys[value] = &keySet{}
			}
			x.keys[value].add(key)
		}
	}
}

// valuesOf are the values by which an object is found; nil has none.
func (x index[T]) valuesOf(obj *T) []string {
	if obj == nil {
		return nil
	}
	return x.values(obj)
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
			for _, value := range x.valuesOf(obj) {
				t.store.readersOf(read{t.id, uint8(i + 1), value}, owners)
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
	keys := slices.Sorted(x.keys[value].all())
	list := make([]*T, len(keys))
	for n, key := range keys {
		list[n] = t.rows[key]
	}
	x.lists[value] = list
	return list
}
