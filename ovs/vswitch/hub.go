package vswitch

import "sync"

// hub wakes its subscribers. A subscriber that has not read its last token yet gets no second one: nothing can be lost or
// pile up.
type hub struct {
	mu   sync.Mutex
	subs map[chan struct{}]func(name string) bool
}

func (h *hub) subscribe(interested func(name string) bool) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		h.subs = map[chan struct{}]func(string) bool{}
	}
	h.subs[ch] = interested
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs, ch)
	}
}

func (h *hub) notify(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch, interested := range h.subs {
		if !interested(name) {
			continue
		}
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
