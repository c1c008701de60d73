package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/heddle-net/heddle/daemon/announce"
	"github.com/heddle-net/heddle/daemon/host"
)

// announce answers for addresses of load balancers. It begins at once, since it may have to go on with what it did before a restart.
func (d *daemon) announce(ctx context.Context) error {
	lease := &nodeLease{client: d.kube.coordination, namespace: d.cfg.Namespace, node: d.cfg.NodeName, uid: d.nodeUID}
	return announce.New(announce.Config{
		Node: d.cfg.NodeName, World: d.world, Wake: d.announceWake, Peers: &d.peers, Synced: d.feed.synced, Ready: d.ready.check,
		Renew: lease.renew, Held: lease.isHeld, Assigned: d.assign, Answering: d.metrics.answering, Log: d.log.WithName("announce"),
	}).Run(ctx)
}

func (d *daemon) nodeUID() types.UID {
	me, _ := d.tables.nodes.Get(d.cfg.NodeName)
	return types.UID(me.uid)
}

// world is sorted: the same objects are the same world.
func (d *daemon) world() announce.World {
	w := announce.World{Services: d.tables.services.Balancers()}
	if len(w.Services) == 0 {
		return w
	}
	for _, n := range d.tables.nodes.Values() {
		w.Nodes = append(w.Nodes, announce.Node{Name: n.name, IPs: n.internalIPs, Excluded: n.excluded, Ready: n.ready})
	}
	for _, s := range d.tables.networks.Values() {
		if s.l2 {
			w.Pools = append(w.Pools, announce.Pool{Name: s.Name, CIDRs: prefixesOf([]host.Subnet{s.Subnet})})
		}
	}
	slices.SortFunc(w.Nodes, func(a, b announce.Node) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(w.Pools, func(a, b announce.Pool) int { return strings.Compare(a.Name, b.Name) })
	return w
}

// assignment is an address that this node answers for from now on.
type assignment struct {
	service *announce.Service
	addr    netip.Addr
}

// mostAssignments are kept until the API server takes them; more at a time are not told.
const mostAssignments = 1000

// eventTimeout bounds the writing of one Event.
const eventTimeout = 5 * time.Second

func (d *daemon) assign(s *announce.Service, addr netip.Addr) {
	select {
	case d.assigned <- assignment{s, addr}:
	default:
	}
}

// tellAssigned writes an Event about each assignment, beside the loop that makes them.
func (d *daemon) tellAssigned(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-d.assigned:
			if err := d.kube.eventOf(ctx, d.cfg.NodeName, a); err != nil && ctx.Err() == nil {
				d.log.Info("cannot write an Event", "reason", err.Error())
			}
		}
	}
}

// eventOf says on the Service which node answers, in the words of MetalLB.
func (k *kube) eventOf(ctx context.Context, node string, a assignment) error {
	event := eventAbout("Service", a.service.Namespace, a.service.Name, a.service.UID, node)
	event.Type, event.Reason, event.Message = corev1.EventTypeNormal, "nodeAssigned", fmt.Sprintf("announcing %s from node %q", a.addr, node)
	return k.postEvent(ctx, event)
}
