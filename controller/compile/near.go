package compile

import (
	"net/netip"
	"slices"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// near says which endpoints of a Service each node uses, by kube-proxy's rules. A switch is on all nodes, and so are its load
// balancers; what differs is written once for each variant, under a variable in place of the VIP, which has a value
// only on the nodes that the variant is for (ovn-nb(5), Load_Balancer options:template). So a change of endpoints is
// one of the load balancer alone: a change of a variable would have ovn-northd and every ovn-controller compute everything anew
// (docs/decisions/0010-node-local-services.md).
type near struct {
	view *state.View
	obj  *state.Service
	// nowhere are the VIPs that lead nowhere on nodes without an endpoint.
	nowhere map[string]string
	none    bool // the database has no variables: no node differs
}

func newNear(v *state.View, obj *state.Service, out *Output) *near {
	n := &near{view: v, obj: obj, nowhere: make(map[string]string), none: !v.Server().Templates}
	if !n.none {
		return n
	}
	const text = "spec.%s needs OVN 22.12; the Service is served without it"
	if len(obj.Local) > 0 {
		out.Problem(ReasonNotSupported, text, "internalTrafficPolicy")
	}
	if obj.Prefer != state.PreferNone {
		out.Problem(ReasonNotSupported, text, "trafficDistribution")
	}
	return n
}

// variants maps variables to endpoints; differ is false when every node uses all endpoints alike, or there are none.
func (n *near) variants(vip netip.Addr, list []candidate) (variants map[string]string, differ bool) {
	if n.none || len(list) == 0 {
		return nil, false
	}
	scope := scopeOf(n.obj, vip)
	if scope == scopeLocal {
		n.nowhere[vip.String()] = ""
		return localTo(vip, list), true
	}
	if scope == scopeAll {
		return nil, false
	}
	all := choose(list, anywhere)
	variants = make(map[string]string)
	for _, p := range n.view.Places() {
		variable := variableOf(scope, vip, p)
		if _, done := variants[variable]; !done {
			variants[variable] = choose(list, nearest(n.obj.Prefer, list, p))
			differ = differ || variants[variable] != all
		}
	}
	return variants, differ
}

// localTo has a variant for each node with endpoints.
func localTo(vip netip.Addr, list []candidate) map[string]string {
	variants := make(map[string]string)
	for _, c := range list {
		variable := variableOf(scopeLocal, vip, &state.Place{Node: c.Node})
		if _, done := variants[variable]; c.Node != "" && !done {
			variants[variable] = choose(list, func(other candidate) bool { return other.Node == c.Node })
		}
	}
	return variants
}

// nearest tells which endpoints are used at a place: those with a hint for the node, if every ready endpoint has one for some
// node and one of them is for this; else the same with zones; else all. While no endpoint is ready, hints do not count.
func nearest(prefer state.Preference, list []candidate, p *state.Place) func(candidate) bool {
	nodes := func(c candidate) []string { return c.Nodes }
	zones := func(c candidate) []string { return c.Zones }
	switch {
	case prefer == state.PreferNode && hinted(list, nodes, p.Node):
		return func(c candidate) bool { return slices.Contains(c.Nodes, p.Node) }
	case hinted(list, zones, p.Zone):
		return func(c candidate) bool { return slices.Contains(c.Zones, p.Zone) }
	}
	return anywhere
}

func hinted(list []candidate, hints func(candidate) []string, name string) (found bool) {
	for _, c := range list {
		if !c.Ready {
			continue
		}
		if len(hints(c)) == 0 {
			return false
		}
		found = found || slices.Contains(hints(c), name)
	}
	return found
}

// elsewhere wants what a node without an endpoint of its own does with packets to a Service that is local and has endpoints
// elsewhere: it drops them, as the API says (ServiceSpec, internalTrafficPolicy). A VIP without a port matches after those with
// one, which are there on the other nodes only.
func (n *near) elsewhere(out *Output) {
	if len(n.nowhere) == 0 {
		return
	}
	id := n.obj.Key() + ":elsewhere"
	out.Row(nb.Row{
		ID: id, Model: &db.LoadBalancer{Name: id, Vips: n.nowhere},
		In: []nb.Edge{{Parent: balancers(n.view.Config().DefaultVpc), Column: "load_balancer"}},
	})
}
