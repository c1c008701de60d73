package port

import (
	"context"
	"sync"
)

// Pods is the table of this node's Pods. It also remembers the UIDs of Pods that are gone, because the table alone cannot tell
// a Pod that the watch has not told of yet from one that it has told of and that was deleted since: the kubelet, which has a
// watch of its own, asks for both.
type Pods struct {
	Table[Pod]

	mu    sync.Mutex
	gone  map[string]bool
	order []string // the same UIDs, oldest first
}

// remembered bounds the UIDs of gone Pods: the kubelet's last request comes seconds after a Pod's end.
const remembered = 1000

// Put stores a Pod; another one of that name is gone.
func (t *Pods) Put(key string, p Pod) {
	t.replace(key, p.UID)
	t.Table.Put(key, p)
}

// Delete forgets a Pod, but not that it is gone.
func (t *Pods) Delete(key string) {
	t.replace(key, "")
	t.Table.Delete(key)
}

// replace notes that the Pod of that name is gone, unless it has the UID of the next one.
func (t *Pods) replace(key, next string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.gone, next)
	old, ok := t.Get(key)
	if !ok || old.UID == next || t.gone[old.UID] {
		return
	}
	if t.gone == nil {
		t.gone = map[string]bool{}
	}
	t.gone[old.UID] = true
	t.order = append(t.order, old.UID)
	if len(t.order) > remembered {
		delete(t.gone, t.order[0])
		t.order = t.order[1:]
	}
}

func (t *Pods) isGone(uid string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gone[uid]
}

// await returns the Pod once it has its address, or the newest of that name, whether there is one, and the context's error. It
// ends early when the Pod of that UID is gone.
func (t *Pods) await(ctx context.Context, key, uid string) (p Pod, found, gone bool, err error) {
	wake := t.watch(key)
	defer t.unwatch(key, wake)
	for {
		p, found = t.Get(key)
		if found && p.is(uid) && p.Allocated {
			return p, true, false, nil
		}
		if t.isGone(uid) {
			return p, found, true, nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return p, found, false, context.Cause(ctx)
		}
	}
}
