package port

import (
	"context"
	"sync"
)

// locks are mutexes by key: the verbs of one container, and the ADDs of one Pod, go one after the other.
type locks struct {
	mu   sync.Mutex
	held map[string]*held
}

type held struct {
	token chan struct{}
	users int
}

// lock waits for the key until ctx is done. The function gives it back.
func (l *locks) lock(ctx context.Context, key string) (func(), error) {
	h := l.use(key)
	select {
	case h.token <- struct{}{}:
		return func() { <-h.token; l.leave(key) }, nil
	case <-ctx.Done():
		l.leave(key)
		return nil, context.Cause(ctx)
	}
}

func (l *locks) use(key string) *held {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[string]*held{}
	}
	h := l.held[key]
	if h == nil {
		h = &held{token: make(chan struct{}, 1)}
		l.held[key] = h
	}
	h.users++
	return h
}

func (l *locks) leave(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[key].users--; l.held[key].users == 0 {
		delete(l.held, key)
	}
}
