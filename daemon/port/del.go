package port

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heddle-net/heddle/cni/api"
	"github.com/heddle-net/heddle/ovs/vswitch"
)

// Del disconnects the container, whatever is left of it: it needs neither the Pod nor the namespace, and nothing to remove is no
// error. It never touches the port of another container, such as the Pod's next sandbox.
func (m *Manager) Del(ctx context.Context, r *api.Request) error {
	unlock, err := m.lockContainer(ctx, r)
	if err != nil {
		return err
	}
	defer unlock()
	start := time.Now()
	attached, tap := of(r.ContainerID, r.IfName), tapOf(r.ContainerID)
	if err := m.removePorts(ctx, func(i *vswitch.Interface) bool { return attached(i) || tap(i) }); err != nil {
		return err
	}
	m.observe(r.Command, PartOVSDB, start)
	m.shapes.remove(HostName(r.ContainerID, r.IfName))
	defer m.observe(r.Command, PartNetNS, time.Now())
	return errors.Join(deleteLink(HostName(r.ContainerID, r.IfName)), deleteLink(HostName(r.ContainerID, TapLink)))
}

// removePorts takes the selected ports out of OVS in one transaction. This comes before their veths go, so that
// ovs-vswitchd does not see a device vanish.
func (m *Manager) removePorts(ctx context.Context, match func(*vswitch.Interface) bool) error {
	ifaces, err := m.ports(ctx, match)
	if err != nil {
		return err
	}
	if err := m.cfg.OVS.DelPorts(ctx, ifaces); err != nil {
		return again("%v", err)
	}
	return nil
}

// ports lists the selected interfaces. An ADD that was given up may have been carried out since, so the cache has to be in
// step first.
func (m *Manager) ports(ctx context.Context, match func(*vswitch.Interface) bool) ([]*vswitch.Interface, error) {
	if err := m.cfg.OVS.Sync(ctx); err != nil {
		return nil, again("%v", err)
	}
	ifaces, err := m.cfg.OVS.Interfaces(ctx, match)
	if err != nil {
		return nil, again("%v", err)
	}
	return ifaces, nil
}

// GC disconnects every container of the network that is not in the list of valid attachments.
func (m *Manager) GC(ctx context.Context, r *api.Request) error {
	valid := map[api.Attachment]bool{}
	for _, a := range r.Valid {
		valid[a] = true
	}
	return m.removeAll(ctx, func(i *vswitch.Interface) bool {
		a := api.Attachment{ContainerID: i.ExternalIDs[keyContainer], IfName: i.ExternalIDs[keyIfName]}
		return i.ExternalIDs[keyNetwork] == r.Network && !valid[a]
	})
}

// Sweep removes the ports that a runtime has forgotten: the device is gone and the Pod is not on this node (any more). The
// table of Pods must be complete.
func (m *Manager) Sweep(ctx context.Context) error {
	return m.removeAll(ctx, func(i *vswitch.Interface) bool {
		p, ok := m.cfg.Pods.Get(i.ExternalIDs[keyPodNamespace] + "/" + i.ExternalIDs[keyPodName])
		return (!ok || p.UID != i.ExternalIDs[vswitch.KeyIfaceIDVer]) && !linkExists(i.Name)
	})
}

// removeAll removes the selected ports of containers, in one transaction, and then their veths.
func (m *Manager) removeAll(ctx context.Context, match func(*vswitch.Interface) bool) error {
	ifaces, err := m.ports(ctx, func(i *vswitch.Interface) bool {
		return ofContainers(i) && match(i)
	})
	if err != nil {
		return err
	}
	if err := m.cfg.OVS.DelPorts(ctx, ifaces); err != nil {
		return again("%v", err)
	}
	for _, i := range ifaces {
		m.cfg.Log.Info("removed the port of a container that is gone", "port", i.Name,
			"container", i.ExternalIDs[keyContainer], "pod", i.ExternalIDs[vswitch.KeyIfaceID])
		m.shapes.remove(i.Name)
		if err := deleteLink(i.Name); err != nil {
			return fmt.Errorf("after its port was removed: %w", err)
		}
	}
	return nil
}
