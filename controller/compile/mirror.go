package compile

import (
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// ReasonSinkNotFound is why a TrafficMirror to a Pod copies nothing: it does not exist, has no network of its own, or no node yet.
const ReasonSinkNotFound = "SinkNotFound"

// mirror wants the rows of what copies packets; the ports that they are for refer to them. Those of the nodes are there while a Pod asks
// for it.
func mirror(v *state.View, key string, out *Output) {
	obj := v.Mirror(key)
	switch {
	case obj == nil || key == state.NodeMirrorKey && len(obj.Selector.Pods) > 0 && !v.MirrorsPods():
		return
	case !v.Server().Mirrors:
		if key != state.NodeMirrorKey {
			out.Problem(ReasonNotSupported, "nothing is copied: it needs OVN 23.06 or later")
		}
		return
	case obj.Invalid != "":
		out.Problem(ReasonInvalid, "%s; nothing is copied", obj.Invalid)
		return
	}
	if obj.Pod != "" && !mirrorToPod(v, obj, out) {
		return
	}
	for _, row := range obj.Rows(false) {
		out.Row(nb.Row{ID: row.Name, Model: &db.Mirror{Name: row.Name, Type: db.MirrorTypeLocal, Filter: row.Filter, Sink: obj.Sink}})
	}
}

// mirrorToPod wants tunnels to the node of the Pod, if there is the Pod.
func mirrorToPod(v *state.View, obj *state.Mirror, out *Output) bool {
	sink := v.Pod(obj.Pod)
	if sink == nil {
		out.Problem(ReasonSinkNotFound, "spec.to.pod: there is no Pod %s with a network of its own on a node; nothing is copied", obj.Pod)
		return false
	}
	ip := v.InternalIP(sink.Node)
	if !ip.IsValid() {
		return true
	}
	for _, row := range obj.Rows(true) {
		out.Row(nb.Row{ID: row.Name, Model: &db.Mirror{Name: row.Name, Type: db.MirrorTypeGre, Filter: row.Filter, Sink: ip.String(), Index: int(row.Key)}})
	}
	return true
}

// mirrors are the rows that copy the packets of a Pod.
func mirrors(v *state.View, pod *state.Pod) (refs []string) {
	if !v.Server().Mirrors {
		return nil
	}
	for _, m := range v.MirrorsOf(pod) {
		far := false
		if m.Pod != "" {
			sink := v.Pod(m.Pod)
			far = sink != nil && sink.Node != pod.Node
		}
		for _, row := range m.Rows(far) {
			refs = append(refs, nb.Ref{Table: db.MirrorTable, ID: row.Name}.String())
		}
	}
	return refs
}
