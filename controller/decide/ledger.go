package decide

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/heddle-net/heddle/controller/engine"
	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/ipam"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// annotationHolder, on an IP, is the UID of the Pod or Node that the address was given to. A later Pod of the same name
// may ask for another address, the same one may not.
const annotationHolder = "heddle.dev/holder"

// holder is who gets an address.
type holder struct {
	ip        string // name of the IP object
	namespace string
	name      string // the Pod's, or the Node's
	node      string
	uid       string
}

// record is what an IP object says, as far as it is known to exist.
type record struct {
	uid    string // the IP object's own
	name   string // of the Pod or Node, with its namespace; empty for a reservation that names nobody
	holder string
	node   string
	subnet string
	lease  ipam.Lease
	// found says that the object was there before us and that its Pod or Node has not been seen: it may be in the API and not
	// yet in our cache.
	found bool
	// leaving says that we have removed the object, and that the port is not known to be gone yet.
	leaving bool
}

// Ledger gives addresses and records each in an IP object. Calls for one IP object must not overlap; the address
// reconciler's queue sees to that.
type Ledger struct {
	client client.Client
	live   client.Reader // of the API server, not of the cache
	pools  *ipam.IPAM
	// used and freed are told in which Subnet an address was given or given back.
	used, freed func(subnet string)

	mu      sync.Mutex
	records map[string]record      // by name of the IP object
	subnets map[string]served      // those that have a pool
	kept    map[string]engine.Port // held ports by name
}

func newLedger(c client.Client, live client.Reader, used, freed func(string)) *Ledger {
	return &Ledger{
		client: c, live: live, pools: ipam.New(), used: used, freed: freed,
		records: make(map[string]record), subnets: make(map[string]served), kept: make(map[string]engine.Port),
	}
}

// served is a Subnet that has a pool. One that is being deleted is closed: who has an address keeps it, nobody gets one.
type served struct {
	*state.Subnet
	closed bool
}

// serve gives addresses out in a Subnet from now on, or goes on with what has changed in it.
func (l *Ledger) serve(subnet served, config ipam.Config) error {
	if _, err := l.pools.Apply(subnet.Name, config); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, had := l.subnets[subnet.Name]; !had {
		l.holdAgain(subnet.Name)
	}
	l.subnets[subnet.Name] = subnet
	return nil
}

// holdAgain holds what is recorded in a Subnet that has just got its pool: it may have been out of order when the IP objects
// were read, or it is made anew while its Pods run.
func (l *Ledger) holdAgain(subnet string) {
	pool, _ := l.pools.Pool(subnet)
	for ip, r := range l.records {
		if r.subnet == subnet {
			_ = pool.Hold(ip, r.lease.Addrs(), r.lease.MAC.String()) // the reconciler meets it again, and reports
			if lease, held := pool.Lease(ip); held {
				r.lease = lease
				l.records[ip] = r
			}
		}
	}
	for _, p := range l.kept {
		if p.Subnet == subnet {
			pool.Keep(p.Name, p.IPs, p.MAC)
		}
	}
}

// drop forgets a Subnet that is gone.
func (l *Ledger) drop(subnet string) {
	l.pools.Delete(subnet)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.subnets, subnet)
}

// subnet returns a Subnet that has a pool, nil in it when there is none.
func (l *Ledger) subnet(name string) served {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.subnets[name]
}

// errOtherHolder says that two objects lead to one name: the Pod a of Namespace b and the Node a.b, say.
var errOtherHolder = errors.New("belongs to")

// fullName tells holders apart that have an IP object of the same name.
func (h holder) fullName() string { return nameOf(h.namespace, h.name) }

func nameOf(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// errNoPool says that a Subnet does not exist, or cannot be served.
var errNoPool = errors.New("the Subnet does not exist or is not Ready")

// ensure gives the holder what it asks for in that Subnet, and returns once an IP object says so. On error the holder has what it
// had before.
func (l *Ledger) ensure(ctx context.Context, h holder, subnet string, req ipam.Request) (ipam.Lease, error) {
	pool, err := l.open(h, subnet)
	if err != nil {
		return ipam.Lease{}, err
	}
	lease, err := pool.Acquire(h.ip, req)
	if err != nil {
		return lease, err
	}
	want := record{name: h.fullName(), holder: h.uid, node: h.node, subnet: subnet, lease: lease}
	old, known := l.record(h.ip)
	if known && old.lease == lease && old.subnet == subnet {
		return lease, l.keepRecord(ctx, h, old)
	}
	if known { // it lacked a MAC, say
		if err := l.deleteIP(ctx, h.ip, old); err != nil {
			return lease, err
		}
	}
	created, err := l.createIP(ctx, h, want)
	if apierrors.IsAlreadyExists(err) {
		return lease, l.meet(ctx, h.ip, subnet)
	}
	if err != nil {
		return lease, err
	}
	l.remember(h.ip, created)
	l.used(subnet)
	return lease, nil
}

// open returns the pool of a Subnet if the holder may have an address in it.
func (l *Ledger) open(h holder, subnet string) (*ipam.Pool, error) {
	pool, ok := l.pools.Pool(subnet)
	if !ok {
		return nil, fmt.Errorf("%s: %w", subnet, errNoPool)
	}
	if old, known := l.record(h.ip); known && old.name != "" && old.name != h.fullName() {
		return nil, fmt.Errorf("IP %s: %w %s", h.ip, errOtherHolder, old.name)
	}
	if _, holds := pool.Lease(h.ip); !holds && l.subnet(subnet).closed {
		return nil, fmt.Errorf("%s: %w", subnet, errNoPool)
	}
	return pool, nil
}

// keepRecord goes on with an IP object that says the same.
func (l *Ledger) keepRecord(ctx context.Context, h holder, old record) error {
	if old.node != h.node || old.holder != h.uid {
		return l.handOver(ctx, h, old)
	}
	if old.found {
		old.found = false
		l.remember(h.ip, old)
	}
	return nil
}

// heldIn is the Subnet in which the holder's name has an address already, by its IP object or by a port whose removal is held
// back.
func (l *Ledger) heldIn(h holder) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, known := l.records[h.ip]
	switch {
	case !known:
		return l.kept[h.ip].Subnet
	case r.name == "" || r.name == h.fullName():
		return r.subnet
	}
	return ""
}

// outgrown tells whether the name has an address that the holder does not want.
func (l *Ledger) outgrown(h holder, subnets []string, want ipam.Request) bool {
	subnet := l.heldIn(h)
	pool, ok := l.pools.Pool(subnet)
	if !ok {
		return false
	}
	lease, holds := pool.Lease(h.ip)
	return holds && (!slices.Contains(subnets, subnet) || !lease.Serves(want))
}

// release gives back what the IP object records: first the object goes, then the address is free.
func (l *Ledger) release(ctx context.Context, ip string) error {
	old, known := l.record(ip)
	if known {
		if err := l.deleteIP(ctx, ip, old); err != nil {
			return err
		}
	}
	l.unkeep(ip)
	for _, subnet := range l.pools.Subnets() { // the record may be gone already, by somebody else's hand
		l.free(ip, subnet)
	}
	return nil
}

func (l *Ledger) free(ip, subnet string) {
	if pool, ok := l.pools.Pool(subnet); ok && pool.Release(ip) {
		l.freed(subnet)
	}
}

// adopt records an IP object and holds what it says: at start, and for one that was made by hand. It returns why not, if it
// cannot.
func (l *Ledger) adopt(obj *v1.IP) error {
	pool, ok := l.pools.Pool(obj.Spec.Subnet)
	if !ok {
		l.note(obj)
		return fmt.Errorf("%s: %w", obj.Spec.Subnet, errNoPool)
	}
	_, held := pool.Lease(obj.Name)
	if _, known := l.record(obj.Name); known && held {
		return nil
	}
	err := pool.Hold(obj.Name, feed.AddressesOf(&obj.Spec), obj.Spec.MacAddress)
	if lease, held := pool.Lease(obj.Name); held {
		l.remember(obj.Name, recordOf(obj, lease))
		l.used(obj.Spec.Subnet)
	}
	return err
}

// note records an IP object whose addresses nobody can hold now: its Subnet is not served, or not any more.
func (l *Ledger) note(obj *v1.IP) {
	if _, known := l.record(obj.Name); known {
		return
	}
	var lease ipam.Lease
	for _, addr := range feed.AddressesOf(&obj.Spec) {
		if addr.Is4() {
			lease.V4 = addr
		} else {
			lease.V6 = addr
		}
	}
	lease.MAC, _ = ipam.ParseMAC(obj.Spec.MacAddress)
	l.remember(obj.Name, recordOf(obj, lease))
}

// leaseOf is what the pool holds for an IP object.
func (l *Ledger) leaseOf(obj *v1.IP) ipam.Lease {
	if pool, ok := l.pools.Pool(obj.Spec.Subnet); ok {
		lease, _ := pool.Lease(obj.Name)
		return lease
	}
	return ipam.Lease{}
}

func (l *Ledger) record(ip string) (record, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.records[ip]
	return r, ok
}

func (l *Ledger) remember(ip string, r record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records[ip] = r
	delete(l.kept, ip) // somebody accounts for it now
}

func (l *Ledger) forget(ip string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.records, ip)
}

// vanished notes that an IP object is gone that we did not delete; the lease stays until somebody decides.
func (l *Ledger) vanished(ip, uid string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := l.records[ip]; ok && r.uid == uid && !r.leaving {
		delete(l.records, ip)
	}
}
