package engine

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// An asker is an owner that asks for groups, as features do. It is a Vpc, so that it lives in the state like any object, and it
// has the selectors where a Vpc has the names of its unsupported fields.
const askerPrefix = "asker-"

func putAsker(i int, selectors ...state.Selector) event {
	obj := &state.Vpc{Name: fmt.Sprintf("%s%d", askerPrefix, i)}
	for _, s := range selectors {
		text, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		obj.Unsupported = append(obj.Unsupported, string(text))
	}
	return event{"vpc/" + obj.Name, func(s *state.Store) { s.Vpcs.Put(obj.Name, obj) }}
}

// compileAskers is compile.Owner with askers: a rule on the ports of each group, which lets in what the same Pods send.
func compileAskers(v *state.View, owner nb.Owner) (out compile.Output) {
	if owner.Kind != state.KindVpc || !strings.HasPrefix(owner.Key, askerPrefix) {
		return compile.Owner(v, owner)
	}
	obj := v.Vpc(owner.Key)
	if obj == nil {
		return out
	}
	for _, text := range obj.Unsupported {
		var selector state.Selector
		if err := json.Unmarshal([]byte(text), &selector); err != nil {
			panic(err)
		}
		ports, peers := v.Group(selector, state.Ports), v.Group(selector, state.IPv4)
		out.Row(nb.Row{
			ID:    owner.Key + " " + ports,
			Model: &db.ACL{Priority: 1, Direction: db.ACLDirectionToLport, Match: "outport == @" + ports + " && ip4.src == $" + peers, Action: db.ACLActionAllow},
			In:    []nb.Edge{{Parent: nb.Ref{Table: db.PortGroupTable, ID: ports}, Column: "acls"}},
		})
	}
	return out
}

func putNamespace(i int, labels ...string) event {
	n := &state.Namespace{Name: fmt.Sprintf("ns%d", i), Labels: labelsOf(labels)}
	return event{"namespace/" + n.Name, func(s *state.Store) { s.Namespaces.Put(n.Name, n) }}
}

// labelsOf reads key=value.
func labelsOf(texts []string) state.Labels {
	m := make(map[string]string)
	for _, t := range texts {
		key, value, _ := strings.Cut(t, "=")
		m[key] = value
	}
	return state.LabelsOf(m)
}

func putLabelled(namespace, i int, labels ...string) event {
	pod := &state.Pod{Namespace: fmt.Sprintf("ns%d", namespace), Name: fmt.Sprintf("p%d", i), UID: "uid", Node: "n1", Labels: labelsOf(labels)}
	return event{"pod/" + pod.Key(), func(s *state.Store) { s.Pods.Put(pod.Key(), pod) }}
}

func putPodIP(namespace, i, subnet, host int) event {
	return putIP(state.PodPort(fmt.Sprintf("ns%d", namespace), fmt.Sprintf("p%d", i)), fmt.Sprintf("s%d", subnet), subnet, host)
}

func in(key string, values ...string) []state.Requirement {
	return []state.Requirement{{Key: key, Values: values}}
}

// selectors that random askers choose from.
var selectors = []state.Selector{
	{},
	{Namespace: "ns0"},
	{Namespace: "ns1", Pods: in("app", "0")},
	{Pods: in("app", "0", "1")},
	{Namespaces: in("team", "0")},
	{Namespaces: in("team", "1"), Pods: []state.Requirement{{Key: "app", Operator: state.DoesNotExist}}},
	{Namespaces: []state.Requirement{{Key: "team", Operator: state.Exists}}, Pods: []state.Requirement{{Key: "app", Operator: state.NotIn, Values: []string{"1"}}}},
	{Pods: []state.Requirement{{Key: "app", Operator: state.Exists}, {Key: "app", Operator: state.DoesNotExist}}},
}

// randomGroupEvents is a life in which labels, Namespaces and askers change as well, and Pods are blocked for want of a Subnet.
func randomGroupEvents(r *rand.Rand) []event {
	label := func(key string) []string { return []string{key + "=" + fmt.Sprint(r.IntN(3))}[:r.IntN(2)] }
	events := []event{putVpc("ovn-cluster"), putSubnet("join", "100.64.0.0/16", 0), putSubnet("s0", "10.0.0.0/16", 1)}
	for range 60 {
		var e event
		namespace, pod := r.IntN(2), r.IntN(4)
		switch r.IntN(12) {
		case 0:
			i := r.IntN(2)
			e = putSubnet(fmt.Sprintf("s%d", i), fmt.Sprintf("10.%d.0.0/16", i), 1)
		case 1, 2:
			e = putNamespace(namespace, label("team")...)
		case 3, 4, 5:
			var some []state.Selector
			for _, i := range r.Perm(len(selectors))[:r.IntN(4)] {
				some = append(some, selectors[i])
			}
			e = putAsker(r.IntN(3), some...)
		case 6, 7, 8:
			e = putLabelled(namespace, pod, label("app")...)
		default:
			e = putPodIP(namespace, pod, r.IntN(2), 2+r.IntN(3))
		}
		if r.IntN(4) == 0 {
			e = remove(e)
		}
		events = append(events, e)
	}
	return events
}
