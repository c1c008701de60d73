package announce

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
)

// World is what Kubernetes says.
type World struct {
	Nodes    []Node
	Pools    []Pool
	Services []*Service // sorted; never changed once they are here
}

// Node is a Node with its InternalIPs.
type Node struct {
	Name     string
	IPs      []netip.Addr
	Excluded bool // from load balancing, by the well-known label
	Ready    bool // as the kubelet or its absence says
}

// Pool is a Subnet of the nodes' own network.
type Pool struct {
	Name  string
	CIDRs []netip.Prefix
}

// Service is a Service that asks us for addresses.
type Service struct {
	Namespace, Name, UID string
	Addrs                []netip.Addr // in its status
	Local                bool         // only nodes with an endpoint answer
	Nodes                []string     // those, if it is Local; sorted
}

// mostCandidates bounds the nodes that may have to answer for an address, and so those that renew a Lease each second.
const mostCandidates = 3

// Candidates are the nodes that may answer for each address of a pool, the best first.
func Candidates(w World) map[netip.Addr][]string {
	out := map[netip.Addr][]string{}
	byPool := map[netip.Prefix][]string{}
	for _, s := range w.Services {
		for _, addr := range s.Addrs {
			pool, cidr, ok := w.poolOf(addr)
			if _, claimed := out[addr]; claimed || !ok || w.isNode(addr) {
				continue
			}
			switch {
			case s.Local:
				out[addr] = best(w.eligible(cidr, s.has), addr.String())
			case byPool[cidr] == nil:
				byPool[cidr] = best(w.eligible(cidr, nil), pool)
				fallthrough
			default:
				out[addr] = byPool[cidr]
			}
		}
	}
	return out
}

// poolOf is the pool of an address, and its range.
func (w World) poolOf(addr netip.Addr) (string, netip.Prefix, bool) {
	for _, p := range w.Pools {
		for _, cidr := range p.CIDRs {
			if cidr.Contains(addr) {
				return p.Name, cidr, true
			}
		}
	}
	return "", netip.Prefix{}, false
}

func (w World) isNode(addr netip.Addr) bool {
	return slices.ContainsFunc(w.Nodes, func(n Node) bool { return slices.Contains(n.IPs, addr) })
}

func (s *Service) has(node string) bool { return slices.Contains(s.Nodes, node) }

// eligible are nodes in the network of a range, if given those that may. Those that Kubernetes holds for dead do not
// count, unless it holds all of them for dead.
func (w World) eligible(cidr netip.Prefix, may func(node string) bool) []string {
	var ready, all []string
	for _, n := range w.Nodes {
		if n.Excluded || may != nil && !may(n.Name) || !slices.ContainsFunc(n.IPs, cidr.Contains) {
			continue
		}
		all = append(all, n.Name)
		if n.Ready {
			ready = append(ready, n.Name)
		}
	}
	if len(ready) == 0 {
		return all
	}
	return ready
}

// best are the first few nodes for a key by rendezvous hashing: a node that comes or goes changes nothing among the others.
func best(nodes []string, key string) []string {
	slices.SortFunc(nodes, func(a, b string) int { return cmp.Or(cmp.Compare(score(b, key), score(a, key)), cmp.Compare(a, b)) })
	return append([]string{}, nodes[:min(len(nodes), mostCandidates)]...)
}

// owner is the node that answers for an address, "" for none.
func owner(addr netip.Addr, candidates []string, alive func(string) bool) string {
	live := slices.DeleteFunc(slices.Clone(candidates), func(n string) bool { return !alive(n) })
	if len(live) == 0 {
		return ""
	}
	return best(live, addr.String())[0]
}

func score(node, key string) uint64 {
	sum := sha256.Sum256([]byte(node + "\x00" + key))
	return binary.BigEndian.Uint64(sum[:])
}

// nodeIn is the node's own address in the network of an address, by which its link is found.
func (w World) nodeIn(node string, addr netip.Addr) netip.Addr {
	_, cidr, _ := w.poolOf(addr)
	for _, n := range w.Nodes {
		if i := slices.IndexFunc(n.IPs, cidr.Contains); n.Name == node && i >= 0 {
			return n.IPs[i]
		}
	}
	return netip.Addr{}
}

// serviceOf is the Service that has the address.
func (w World) serviceOf(addr netip.Addr) *Service {
	for _, s := range w.Services {
		if slices.Contains(s.Addrs, addr) {
			return s
		}
	}
	return nil
}
