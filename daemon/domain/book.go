package domain

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/daemon/dns"
)

// API writes statuses.
type API interface {
	// GetResolver reads an object as it is now.
	GetResolver(ctx context.Context, name string) (*v1.DNSNameResolver, error)
	// UpdateResolverStatus fails with a conflict if somebody else has written since the object was read.
	UpdateResolverStatus(ctx context.Context, obj *v1.DNSNameResolver) error
}

// Book joins names that policies allow with answers. Make it with NewBook.
type Book struct {
	api  API
	log  logr.Logger
	wake chan struct{}
	// changed is told when there is the first name, or none any more.
	changed func()

	mu        sync.Mutex
	resolvers map[string]*resolver // as the watch has them
	fresh     map[entry]bool       // of which ovn-controller has not told yet that they are installed
	wanted    []want
	held      []*hold
}

// resolver is an object with the addresses in it, of whichever names.
type resolver struct {
	obj  *v1.DNSNameResolver
	addr map[netip.Addr]bool
}

func resolverOf(obj *v1.DNSNameResolver) *resolver {
	r := &resolver{obj, map[netip.Addr]bool{}}
	for _, n := range obj.Status.ResolvedNames {
		for _, a := range n.ResolvedAddresses {
			if ip, err := netip.ParseAddr(a.IP); err == nil {
				r.addr[ip] = true
			}
		}
	}
	return r
}

// entry is an address in one object.
type entry struct {
	resolver string
	ip       netip.Addr
}

// want is an answer that an object has to have.
type want struct {
	resolver string
	record   dns.Record
	at       time.Time
}

// hold is an answer that waits until all of its entries are installed.
type hold struct {
	entries []entry
	release chan struct{}
}

// NewBook makes an empty one.
func NewBook(api API, log logr.Logger, changed func()) *Book {
	return &Book{
		api: api, log: log, wake: make(chan struct{}, 1), changed: changed,
		resolvers: map[string]*resolver{}, fresh: map[entry]bool{},
	}
}

// Empty tells that no policy allows any name: nobody has to look at answers.
func (b *Book) Empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.resolvers) == 0
}

// Put stores an object as the watch gives it.
func (b *Book) Put(key string, obj *v1.DNSNameResolver) {
	b.mu.Lock()
	first := len(b.resolvers) == 0
	old, now := b.resolvers[key], resolverOf(obj)
	b.resolvers[key] = now
	for ip := range now.addr {
		if old != nil && !old.addr[ip] { // yet to be installed
			b.fresh[entry{key, ip}] = true
		}
	}
	b.mu.Unlock()
	if first {
		b.changed()
	}
}

// Delete forgets an object.
func (b *Book) Delete(key string) {
	b.mu.Lock()
	delete(b.resolvers, key)
	last := len(b.resolvers) == 0
	b.releaseInstalled()
	b.mu.Unlock()
	if last {
		b.changed()
	}
}

// Installed is to be called when ovn-controller says that it has caught up with the northbound database.
func (b *Book) Installed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.fresh)
	b.releaseInstalled()
}

func (b *Book) releaseInstalled() {
	b.held = slices.DeleteFunc(b.held, func(h *hold) bool {
		if slices.ContainsFunc(h.entries, b.missing) {
			return false
		}
		close(h.release)
		return true
	})
}

// missing tells that an entry's object is there, and does not have it in force.
func (b *Book) missing(e entry) bool {
	r := b.resolvers[e.resolver]
	return r != nil && (b.fresh[e] || !r.addr[e.ip])
}

// mostHeld bounds what is kept of answers while the API server or OVN is slow. The gate lets an answer go after its time, so the oldest are
// the least missed; what is not written is written when a Pod asks again.
const mostHeld = 1024

// Hold takes an answer in. The channel is closed once Pods of this node reach the addresses; nil is at once. An address that nobody
// outside can have allows nothing, and is not waited for.
func (b *Book) Hold(r dns.Record) <-chan struct{} {
	r.Addresses = slices.DeleteFunc(slices.Clone(r.Addresses), func(a dns.Address) bool { return !a.IP.IsGlobalUnicast() })
	b.mu.Lock()
	defer b.mu.Unlock()
	h := &hold{}
	now := time.Now()
	for key, known := range b.resolvers {
		if !matches(known.obj.Spec.Name, r.Name) {
			continue
		}
		for _, a := range r.Addresses {
			if e := (entry{key, a.IP}); b.missing(e) {
				h.entries = append(h.entries, e)
			}
		}
		if due(known.obj, r, now) && len(b.wanted) < mostHeld {
			b.wanted = append(b.wanted, want{key, r, now})
			b.signal()
		}
	}
	if len(h.entries) == 0 {
		return nil
	}
	if len(b.held) == mostHeld {
		close(b.held[0].release)
		b.held = slices.Delete(b.held, 0, 1)
	}
	h.release = make(chan struct{})
	b.held = append(b.held, h)
	return h.release
}

func (b *Book) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// matches compares a name with that of a DNSNameResolver, where "*." stands for one label or more.
func matches(pattern, name string) bool {
	pattern = strings.ToLower(pattern)
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(name, suffix) && len(name) > len(suffix)
	}
	return name == pattern
}

// least is how long an address holds at least: some time passes between an answer and the connection.
const least = 30 * time.Second

func ttl(a dns.Address) time.Duration { return max(a.TTL, least).Round(time.Second) }

// due tells that an object lacks an address, or holds it for less than half of its time.
func due(obj *v1.DNSNameResolver, r dns.Record, now time.Time) bool {
	return slices.ContainsFunc(r.Addresses, func(a dns.Address) bool {
		have := addressIn(obj, r.Name, a.IP)
		return have == nil || have.Ends().Before(now.Add(ttl(a)/2))
	})
}

func addressIn(obj *v1.DNSNameResolver, name string, ip netip.Addr) *v1.DNSNameResolverResolvedAddress {
	for i := range obj.Status.ResolvedNames {
		n := &obj.Status.ResolvedNames[i]
		if n.DNSName != name {
			continue
		}
		for j := range n.ResolvedAddresses {
			if n.ResolvedAddresses[j].IP == ip.String() {
				return &n.ResolvedAddresses[j]
			}
		}
	}
	return nil
}

// writeLimit is for one status, with what others write meanwhile.
const writeLimit = 5 * time.Second

// Run writes statuses until ctx is done.
func (b *Book) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.wake:
		}
		for key, list := range b.take() {
			if err := b.write(ctx, key, list); err != nil && ctx.Err() == nil {
				b.log.Error(err, "what Pods are answered by DNS is not told", "resolver", key)
			}
		}
	}
}

// take groups what is wanted by object.
func (b *Book) take() map[string][]want {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string][]want{}
	for _, w := range b.wanted {
		out[w.resolver] = append(out[w.resolver], w)
	}
	b.wanted = nil
	return out
}

// object is a copy, nil when it is gone.
func (b *Book) object(key string) *v1.DNSNameResolver {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.resolvers[key]; r != nil {
		return r.obj.DeepCopy()
	}
	return nil
}

func (b *Book) write(ctx context.Context, key string, list []want) error {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	obj := b.object(key)
	for obj != nil {
		if !merge(obj, list) {
			return nil
		}
		err := b.api.UpdateResolverStatus(ctx, obj)
		switch {
		case err == nil || apierrors.IsNotFound(err):
			return nil
		case !apierrors.IsConflict(err):
			return fmt.Errorf("write the status of DNSNameResolver %s: %w", key, err)
		}
		if obj, err = b.api.GetResolver(ctx, key); err != nil {
			return fmt.Errorf("read DNSNameResolver %s: %w", key, err)
		}
	}
	return nil
}

// most is the number of addresses in one object; beyond it those go first that were answered longest ago.
const most = 1000

// merge adds answers to a status, and reports that this is a change.
func merge(obj *v1.DNSNameResolver, list []want) (changed bool) {
	for _, w := range list {
		if !due(obj, w.record, w.at) {
			continue
		}
		changed = true
		for _, a := range w.record.Addresses {
			set(obj, w.record.Name, v1.DNSNameResolverResolvedAddress{
				IP: a.IP.String(), TTLSeconds: int32(ttl(a) / time.Second), LastLookupTime: metav1.NewTime(w.at),
			})
		}
	}
	trim(obj)
	return changed
}

func set(obj *v1.DNSNameResolver, name string, a v1.DNSNameResolverResolvedAddress) {
	names := &obj.Status.ResolvedNames
	i := slices.IndexFunc(*names, func(n v1.DNSNameResolverResolvedName) bool { return n.DNSName == name })
	if i < 0 {
		i = len(*names)
		*names = append(*names, v1.DNSNameResolverResolvedName{DNSName: name})
	}
	list := &(*names)[i].ResolvedAddresses
	j := slices.IndexFunc(*list, func(o v1.DNSNameResolverResolvedAddress) bool { return o.IP == a.IP })
	if j < 0 {
		*list = append(*list, a)
	} else {
		(*list)[j] = a
	}
}

func trim(obj *v1.DNSNameResolver) {
	var all []time.Time
	for _, n := range obj.Status.ResolvedNames {
		for _, a := range n.ResolvedAddresses {
			all = append(all, a.LastLookupTime.Time)
		}
	}
	if len(all) <= most {
		return
	}
	slices.SortFunc(all, time.Time.Compare)
	oldest := all[len(all)-most]
	for i := range obj.Status.ResolvedNames {
		n := &obj.Status.ResolvedNames[i]
		n.ResolvedAddresses = slices.DeleteFunc(n.ResolvedAddresses, func(a v1.DNSNameResolverResolvedAddress) bool { return a.LastLookupTime.Time.Before(oldest) })
	}
}
