package port

import (
	"context"
	"sync"
)

// Table holds the newest version of each object that a watch has told of, and wakes those who wait for one.
// The zero Table is empty and ready.
type Table[V any] struct {
	mu      sync.Mutex
	rows    map[string]V
	waiters map[string]map[chan struct{}]struct{}
}

// Put stores an object under its key.
func (t *Table[V]) Put(key string, v V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rows == nil {
		t.rows = map[string]V{}
	}
	t.rows[key] = v
	t.wake(key)
}

// Delete forgets an object.
func (t *Table[V]) Delete(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.rows, key)
	t.wake(key)
}

// Get returns the object of that key.
func (t *Table[V]) Get(key string) (V, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok := t.rows[key]
	return v, ok
}

// Values returns all objects, in no order.
func (t *Table[V]) Values() []V {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]V, 0, len(t.rows))
	for _, v := range t.rows {
		out = append(out, v)
	}
	return out
}

// Wait returns the object once it is there and ready, or the newest version, whether there is one, and the context's error.
func (t *Table[V]) Wait(ctx context.Context, key string, ready func(V) bool) (V, bool, error) {
	wake := t.watch(key)
	defer t.unwatch(key, wake)
	for {
		v, ok := t.Get(key)
		if ok && ready(v) {
			return v, true, nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return v, ok, context.Cause(ctx)
		}
	}
}

func (t *Table[V]) watch(key string) chan struct{} {
	ch := make(chan struct{}, 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiters == nil {
		t.waiters = map[string]map[chan struct{}]struct{}{}
	}
	if t.waiters[key] == nil {
		t.waiters[key] = map[chan struct{}]struct{}{}
	}
	t.waiters[key][ch] = struct{}{}
	return ch
}

func (t *Table[V]) unwatch(key string, ch chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.waiters[key], ch)
	if len(t.waiters[key]) == 0 {
		delete(t.waiters, key)
	}
}

// wake is called with the lock held. A waiter that has a token already needs no second one.
func (t *Table[V]) wake(key string) {
	for ch := range t.waiters[key] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
