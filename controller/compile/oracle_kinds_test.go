package compile_test

import (
	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/controller/verdict"
)

// oracleKinds are the kinds of policies that are compared, as sizes of clusters, and the objects that enforce them.
type oracleKinds struct {
	compared verdict.Size
	enforced func(*verdict.Cluster) []object
}

// networkPolicies are what every OVN enforces.
var networkPolicies = oracleKinds{
	verdict.Size{Namespaces: 3, Nodes: maxNodes, Pods: 12, NetworkPolicies: 12, Rules: 3, Peers: 3, Ports: 3},
	func(c *verdict.Cluster) (objects []object) {
		for _, p := range c.NetworkPolicies {
			objects = append(objects, func(s *state.Store) { put(s.Policies, p.Namespace+"/"+p.Name, feed.NetworkPolicy(p)) })
		}
		return objects
	},
}

// allPolicies are what OVN enforces that has tiers.
var allPolicies = oracleKinds{
	verdict.Size{
		Namespaces: 3, Nodes: maxNodes, Pods: 10, NetworkPolicies: 7, AdminNetworkPolicies: 3, ClusterNetworkPolicies: 4, Baseline: true, Rules: 3, Peers: 3, Ports: 3,
	},
	func(c *verdict.Cluster) []object {
		objects := networkPolicies.enforced(c)
		for _, p := range c.AdminNetworkPolicies {
			objects = append(objects, func(s *state.Store) { put(s.AdminPolicies, p.Name, feed.AdminNetworkPolicy(p)) })
		}
		for _, p := range c.BaselineAdminNetworkPolicies {
			objects = append(objects, func(s *state.Store) { put(s.BaselinePolicies, p.Name, feed.BaselineAdminNetworkPolicy(p)) })
		}
		for _, p := range c.ClusterNetworkPolicies {
			objects = append(objects, func(s *state.Store) { put(s.ClusterPolicies, p.Name, feed.ClusterNetworkPolicy(p)) })
		}
		return objects
	},
}

// besides are allPolicies beside SecurityGroups and Subnets that are private; tiers are what has the tier 1 of SecurityGroups.
var (
	besides = allPolicies.with(verdict.Size{
		Namespaces: 3, Nodes: maxNodes, Pods: 10, NetworkPolicies: 5, AdminNetworkPolicies: 2, ClusterNetworkPolicies: 3, Baseline: true, Rules: 3, Peers: 3, Ports: 3,
		SecurityGroups: 4, Subnets: true,
	})
	tiers = allPolicies.with(verdict.Size{
		Namespaces: 3, Nodes: maxNodes, Pods: 10, NetworkPolicies: 5, AdminNetworkPolicies: 2, Rules: 3, Peers: 3, Ports: 3, SecurityGroups: 4, Subnets: true,
	})
)

// with has clusters of another size, with SecurityGroups and Subnets.
func (k oracleKinds) with(size verdict.Size) oracleKinds {
	return oracleKinds{size, func(c *verdict.Cluster) []object {
		objects := k.enforced(c)
		for _, g := range c.SecurityGroups {
			objects = append(objects, func(s *state.Store) { put(s.SecurityGroups, g.Name, feed.SecurityGroup(g)) })
		}
		for _, subnet := range c.Subnets {
			objects = append(objects, func(s *state.Store) { put(s.Subnets, subnet.Name, feed.Subnet(subnet, "ovn-cluster")) })
		}
		return objects
	}}
}
