package state

import "reflect"

// ClusterPolicy is a policy of the cluster's administrator, of any kind of policy.networking.k8s.io: rules that decide before
// NetworkPolicies do, or where no NetworkPolicy has decided.
type ClusterPolicy struct {
	Name string
	// Baseline is for what no NetworkPolicy has decided.
	Baseline bool
	// Priority is 0 to 1000; those with smaller numbers go first. Behind them all comes BaselineAdminNetworkPolicy, 1001.
	Priority int
	Pods     Selector
	// Rules of each direction are in order: the first that matches decides.
	Rules []ClusterRule
	// Invalid says what could not be read. It allows nothing, and denies what it might.
	Invalid []string
}

func (p *ClusterPolicy) equal(o *ClusterPolicy) bool { return reflect.DeepEqual(p, o) }

// ClusterRule decides about connections between the Pods of its policy and others. The other side may be named in more ways than in a
// Rule.
type ClusterRule struct {
	Rule
	Action Action
	Nodes  []NodeSelector // their addresses
	// Domains are names in DNS whose addresses the other side may have; "*." at the start stands for one label or more.
	Domains []string
}

// NodeSelector chooses Nodes by their labels; none is all of them.
type NodeSelector []Requirement

// Matches tells whether the selector chooses a Node.
func (s NodeSelector) Matches(n *Node) bool { return satisfies(n.Labels, s) }

// Action is what becomes of a connection.
type Action uint8

// Actions. Pass leaves it to the policies that come after those of the administrator.
const (
	Allow Action = iota
	Deny
	Pass
)
