package ipam

import (
	"maps"
	"slices"
	"sync"
)

// IPAM is the pools of all Subnets by name. Each Pool has its own lock; that of IPAM guards the map alone.
type IPAM struct {
	mu    sync.RWMutex
	pools map[string]*Pool
}

// New returns an IPAM without pools.
func New() *IPAM { return &IPAM{pools: map[string]*Pool{}} }

// Apply makes the pool of a Subnet, or reconfigures it. On error nothing changes.
func (m *IPAM) Apply(subnet string, c Config) (*Pool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if pool, ok := m.pools[subnet]; ok {
		return pool, pool.Reconfigure(c)
	}
	pool, err := NewPool(c)
	if err != nil {
		return nil, err
	}
	m.pools[subnet] = pool
	return pool, nil
}

// Pool returns the pool of a Subnet.
func (m *IPAM) Pool(subnet string) (*Pool, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	pool, ok := m.pools[subnet]
	return pool, ok
}

// Delete forgets a Subnet and all that is held in it.
func (m *IPAM) Delete(subnet string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pools, subnet)
}

// Subnets returns the names in order.
func (m *IPAM) Subnets() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Sorted(maps.Keys(m.pools))
}
