package daemon

import (
	"errors"
	"fmt"
	"sync"
)

// condition is why one part is not ready; nil when it is.
type condition struct {
	mu      sync.Mutex
	err     error
	changed []signal
}

func (c *condition) set(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	for _, s := range c.changed {
		s.set()
	}
}

func (c *condition) get() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// readiness is the daemon's: all parts are ready. Parts are asked, not remembered.
type readiness []struct {
	part string
	why  func() error
}

func (r readiness) check() error {
	var all []error
	for _, p := range r {
		if err := p.why(); err != nil {
			all = append(all, fmt.Errorf("%s: %w", p.part, err))
		}
	}
	return errors.Join(all...)
}
