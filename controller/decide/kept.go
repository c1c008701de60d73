package decide

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-net/heddle/controller/engine"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
)

// keep is told by the board which ports the engine does not dare to remove. Their addresses are given to nobody until the ports
// are gone, which is asked at once, as for any holder that went.
func (d *Deciders) keep(ports []engine.Port) (refuted []nb.Owner) {
	for _, p := range ports {
		if !d.ledger.keep(p) {
			refuted = append(refuted, p.Owner)
			continue
		}
		d.addresses.ask(p.Owner, holderRequest(p.Owner))
	}
	for _, subnet := range d.ledger.pools.Subnets() {
		d.subnetQueue.add(named(subnet)) // their conditions tell
	}
	return refuted
}

// holderRequest says who is to be reconciled when a Pod's or a Node's port is gone.
func holderRequest(owner nb.Owner) reconcile.Request {
	if owner.Kind == state.KindNode {
		return named(state.NodePort(owner.Key))
	}
	namespace, name, _ := strings.Cut(owner.Key, "/")
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}

// keep holds the addresses of a port that no object accounts for; false when they are somebody else's, or its holder has others.
func (l *Ledger) keep(p engine.Port) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if pool, ok := l.pools.Pool(p.Subnet); ok && !pool.Keep(p.Name, p.IPs, p.MAC) {
		return false
	}
	if _, known := l.records[p.Name]; !known {
		l.kept[p.Name] = p // also for a Subnet that is not there (yet)
	}
	return true
}

func (l *Ledger) unkeep(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.kept, name)
}

// keptIn counts the kept ports of a Subnet.
func (l *Ledger) keptIn(subnet string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.kept {
		if p.Subnet == subnet {
			n++
		}
	}
	return n
}

// Reasons of the condition RemovalsHeld.
const (
	reasonTooMany  = "TooManyRemovals"
	reasonReleased = "Released"
)

// removalsHeld is the condition of a Subnet in which addresses are kept for ports that nobody accounts for; ok is false when
// there is nothing to say.
func (r *Subnets) removalsHeld(obj *v1.Subnet) (c v1.Condition, ok bool) {
	c = v1.Condition{Type: v1.ConditionRemovalsHeld, Status: corev1.ConditionFalse, Reason: reasonReleased, ObservedGeneration: obj.Generation}
	n := r.ledger.keptIn(obj.Name)
	if n == 0 {
		return c, slices.ContainsFunc(obj.Status.Conditions, func(old v1.Condition) bool { return old.Type == c.Type })
	}
	c.Status, c.Reason = corev1.ConditionTrue, reasonTooMany
	c.Message = fmt.Sprintf("%d ports stay in OVN although their Pods and IP objects are gone, too many to be believed; their addresses are given to nobody until the removals are released", n)
	return c, true
}
