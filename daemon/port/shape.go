package port

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/vishvananda/netlink"

	"github.com/heddle-net/heddle/cni/api"
	"github.com/heddle-net/heddle/daemon/shape"
)

// shaped is an attachment and what its packets go through.
type shaped struct {
	request api.Request // what names it
	pod     string      // key in the table of Pods
	have    shape.Shape
	known   bool   // not yet for what was there before the daemon, and no more after a failure
	failure string // that was told
}

// shapes are all attachments, by the name of the node's end.
type shapes struct {
	mu   sync.Mutex
	rows map[string]*shaped
}

func (s *shapes) put(host string, row *shaped) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows == nil {
		s.rows = map[string]*shaped{}
	}
	s.rows[host] = row
}

func (s *shapes) get(host string) *shaped {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[host]
}

func (s *shapes) remove(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rows, host)
}

func (s *shapes) hosts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	hosts := make([]string, 0, len(s.rows))
	for host := range s.rows {
		hosts = append(hosts, host)
	}
	return hosts
}

// shapeOf is what the annotations of a Pod ask for, and of its Namespace and Subnet where it does not say.
func (m *Manager) shapeOf(p Pod) shape.Shape {
	q := p.QoS
	if namespace, ok := m.cfg.Namespaces.Get(p.Namespace); ok {
		q = q.Or(namespace)
	}
	if subnet, ok := m.cfg.Subnets.Get(p.Subnet); ok {
		q = q.Or(subnet.QoS)
	}
	return shape.Of(q, m.cfg.SoftwareChecksums)
}

// Adopt learns of the attachments that are there already. The first Reshape after it compares them with what the Pods are to have.
func (m *Manager) Adopt(ctx context.Context) error {
	ifaces, err := m.ports(ctx, ofContainers)
	if err != nil {
		return err
	}
	if err := m.cfg.OVS.LeaveQdiscs(ctx, ifaces); err != nil {
		return again("%v", err)
	}
	for _, i := range ifaces {
		if m.shapes.get(i.Name) != nil {
			continue // an ADD has been faster
		}
		ids := i.ExternalIDs
		m.shapes.put(i.Name, &shaped{
			request: api.Request{ContainerID: ids[keyContainer], IfName: ids[keyIfName], NetNS: ids[keyPodNetNS]},
			pod:     ids[keyPodNamespace] + "/" + ids[keyPodName],
		})
	}
	return nil
}

// Reshape gives each Pod what it is to have by now. It is called when that may have changed, and touches only those for which it has.
func (m *Manager) Reshape(ctx context.Context) error {
	var failed []error
	for _, host := range m.shapes.hosts() {
		if err := m.reshape(ctx, host); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (m *Manager) reshape(ctx context.Context, host string) error {
	row := m.shapes.get(host)
	if row == nil {
		return nil
	}
	unlock, err := m.lockContainer(ctx, &row.request)
	if err != nil {
		return err
	}
	defer unlock()
	p, ok := m.cfg.Pods.Get(row.pod)
	want := m.shapeOf(p)
	if !ok || m.shapes.get(host) != row || row.known && row.have == want {
		return nil // its DEL comes, has come, or there is nothing to do
	}
	if err := m.setShape(host, row, want); err != nil {
		row.known = false
		if text := err.Error(); text != row.failure {
			row.failure = text
			m.cfg.Shaped(p, err)
		}
		return fmt.Errorf("shape the traffic of Pod %s: %w", row.pod, err)
	}
	row.have, row.known, row.failure = want, true, ""
	m.cfg.Shaped(p, nil)
	return nil
}

// setShape sets both ends, from what the kernel says that they have.
func (m *Manager) setShape(host string, row *shaped, want shape.Shape) error {
	if err := setQueue(&netlink.Handle{}, host, want.Ingress); err != nil {
		return err
	}
	pod, err := m.openNetNS(row.request.NetNS)
	if err != nil {
		return err
	}
	defer pod.close()
	inside, err := pod.netlink()
	if err != nil {
		return err
	}
	defer inside.Close()
	return setQueue(inside, row.request.IfName, want.Egress)
}

func setQueue(h *netlink.Handle, name string, want shape.Queue) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	have, err := shape.Read(h, link)
	if err != nil {
		return err
	}
	return shape.Set(h, link, have, want)
}
