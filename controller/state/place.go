package state

import (
	"slices"
	"strings"

	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// place is what decides about a Pod's membership. Any of it may be nil.
type place struct {
	pod       *Pod
	namespace *Namespace
	ip        *IP
}

// members are what the Pod brings into a set of each kind; empty where it has nothing yet.
func (p place) members() (m [setKinds]string) {
	if p.pod == nil || p.ip == nil {
		return m
	}
	m[Ports] = nb.Ref{Table: db.LogicalSwitchPortTable, ID: p.ip.Name}.String()
	for _, addr := range p.ip.IPs {
		kind := IPv6
		if addr.Is4() {
			kind = IPv4
		}
		m[kind] = addr.String()
	}
	return m
}

// sameTo tells whether two places of a Pod look the same to every selector.
func (p place) sameTo(q place) bool {
	if p.pod == nil || q.pod == nil || p.pod.Labels != q.pod.Labels {
		return p.pod == q.pod
	}
	return p.namespace == q.namespace || p.namespace != nil && q.namespace != nil && p.namespace.Labels == q.namespace.Labels
}

// place is where a Pod stands now.
func (s *Store) place(pod *Pod) place {
	if pod == nil {
		return place{}
	}
	return place{pod, s.Namespaces.rows[pod.Namespace], s.IPs.rows[pod.Port()]}
}

func (s *Store) podMoved(key string, old, now *Pod) []nb.Owner {
	touched := s.groups.move(s.place(old), s.place(now))
	s.joins(key, touched)
	return append(touched, s.renumber(old, now)...)
}

func (s *Store) ipMoved(name string, old, now *IP) []nb.Owner {
	dot := strings.LastIndexByte(name, '.') // a Pod's name may have dots, that of a Namespace has none
	if dot < 0 {
		return nil
	}
	key := name[dot+1:] + "/" + name[:dot]
	from := s.place(s.Pods.rows[key])
	to := from
	from.ip, to.ip = old, now
	touched := s.groups.move(from, to)
	s.joins(key, touched)
	return touched
}

func (s *Store) namespaceMoved(name string, old, now *Namespace) (touched []nb.Owner) {
	if len(s.groups.index) == 0 {
		return nil
	}
	for key := range s.Pods.indexes[0].keys[name].all() {
		from := s.place(s.Pods.rows[key])
		to := from
		from.namespace, to.namespace = old, now
		touched = append(touched, s.groups.move(from, to)...)
	}
	return touched
}

// joins notes that a Pod must not commit without these groups.
func (s *Store) joins(pod string, touched []nb.Owner) {
	owner := nb.Owner{Kind: KindPod, Key: pod}
	for _, group := range touched {
		if !slices.Contains(s.groups.joining[owner], group) {
			s.groups.joining[owner] = append(s.groups.joining[owner], group)
		}
	}
}
