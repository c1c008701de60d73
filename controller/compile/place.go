package compile

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// place wants the variables of a node's chassis: its join addresses, by which its Pods know it (group.go), and those VIPs of Services
// whose variants are for this node. They depend on no endpoint, only on which Services there are and what these prefer.
func place(v *state.View, name string, out *Output) {
	obj := v.Place(name)
	if obj == nil || obj.Chassis == "" || !v.Server().Templates {
		return
	}
	variables := make(map[string]string)
	if ip := v.IP(state.NodePort(name)); ip != nil {
		for _, join := range ip.IPs {
			variables[nodeVariable(join)] = join.String()
		}
	}
	for _, s := range v.ServicesNear() {
		for _, vip := range s.VIPs {
			if scope := scopeOf(s, vip); scope != scopeAll {
				variables[variableOf(scope, vip, obj)] = vip.String()
			}
		}
	}
	if len(variables) > 0 {
		out.Row(nb.Row{ID: obj.Chassis, Model: &db.ChassisTemplateVar{Chassis: obj.Chassis, Variables: variables}})
	}
}

// Variables with the node's join addresses.
const (
	nodeVariable4 = "node_ip4"
	nodeVariable6 = "node_ip6"
)

func nodeVariable(join netip.Addr) string {
	if join.Is4() {
		return nodeVariable4
	}
	return nodeVariable6
}

// scope is what a variant of a VIP is for.
type scope string

const (
	scopeAll   scope = ""
	scopeLocal scope = "local" // the nodes that have endpoints
	scopeNode  scope = "node"  // every node
	scopeZone  scope = "zone"  // every zone, and the nodes without one
)

func scopeOf(s *state.Service, vip netip.Addr) scope {
	switch {
	case slices.Contains(s.Local, vip):
		return scopeLocal
	case s.Prefer == state.PreferNode:
		return scopeNode
	case s.Prefer == state.PreferZone:
		return scopeZone
	}
	return scopeAll
}

// variableOf names the variable that has the VIP as its value at the place. OVN takes letters, digits and underscores for a part of
// the name; names of nodes and zones have more.
func variableOf(s scope, vip netip.Addr, p *state.Place) string {
	at := p.Node
	if s == scopeZone {
		at = p.Zone
	}
	sum := sha256.Sum256([]byte(at))
	return fmt.Sprintf("vip_%x_%s_%x", vip.AsSlice(), s, sum[:8])
}

// reference is how a load balancer names a variable.
func reference(variable string) string { return "^" + variable }

// templateOptions (ovn-nb(5), Load_Balancer options).
func templateOptions(family string) map[string]string {
	return map[string]string{"template": "true", "address-family": family}
}
