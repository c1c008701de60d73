package compile_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// asker is a kind that only tests have: it asks for groups, as features do. Nothing reaches the ports of the Pods it chooses but
// what others send that it chooses.
type asker struct {
	metav1.TypeMeta
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Ports choice   `json:"ports"`
		From  []choice `json:"from"`
	} `json:"spec"`
}

type choice struct {
	Namespace         string               `json:"namespace"`
	NamespaceSelector metav1.LabelSelector `json:"namespaceSelector"`
	PodSelector       metav1.LabelSelector `json:"podSelector"`
}

func (c choice) selector() (s state.Selector) {
	var errs [2]error
	s.Namespace = c.Namespace
	s.Namespaces, errs[0] = feed.Requirements(c.NamespaceSelector)
	s.Pods, errs[1] = feed.Requirements(c.PodSelector)
	for _, err := range errs {
		if err != nil {
			panic(err)
		}
	}
	return s
}

// asked is what the state has of an asker: it is in the table of Vpcs, as text in place of unsupported fields.
type asked struct {
	Ports state.Selector
	From  []state.Selector
}

const askerPrefix = "asker-"

func putAsker(s *state.Store, o *asker) {
	a := asked{Ports: o.Spec.Ports.selector()}
	for _, c := range o.Spec.From {
		a.From = append(a.From, c.selector())
	}
	text, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	s.Vpcs.Put(askerPrefix+o.Name, &state.Vpc{Name: askerPrefix + o.Name, Unsupported: []string{string(text)}})
}

// compileOwner is compile.Owner with askers.
func compileOwner(v *state.View, owner nb.Owner) (out compile.Output) {
	name, ok := strings.CutPrefix(owner.Key, askerPrefix)
	if owner.Kind != state.KindVpc || !ok {
		return compile.Owner(v, owner)
	}
	var a asked
	if err := json.Unmarshal([]byte(v.Vpc(owner.Key).Unsupported[0]), &a); err != nil {
		panic(err)
	}
	ports := v.Group(a.Ports, state.Ports)
	rule := func(priority int, match, action string) {
		out.Row(nb.Row{
			ID:    fmt.Sprintf("%s %d %s", name, priority, match),
			Model: &db.ACL{Priority: priority, Direction: db.ACLDirectionToLport, Match: "outport == @" + ports + " && " + match, Action: action},
			In:    []nb.Edge{{Parent: nb.Ref{Table: db.PortGroupTable, ID: ports}, Column: "acls"}},
		})
	}
	rule(1000, "ip", db.ACLActionDrop)
	for _, from := range a.From {
		rule(2000, "ip4.src == $"+v.Group(from, state.IPv4), db.ACLActionAllowRelated)
		rule(2000, "ip6.src == $"+v.Group(from, state.IPv6), db.ACLActionAllowRelated)
	}
	return out
}

// TestGroupsAreEnforced asks OVN who reaches a Pod whose ports and peers are groups.
func TestGroupsAreEnforced(t *testing.T) {
	n := newNetwork(t)
	for _, families := range []string{"4", "6"} {
		w := twoNodes(families)
		labelled := func(name, app string) object {
			i := slices.IndexFunc(w.pods, func(p pod) bool { return p.name == name })
			obj := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": app}},
				Spec:       corev1.PodSpec{NodeName: w.nodes[w.pods[i].node].name},
			}
			return func(s *state.Store) { put(s.Pods, "default/"+name, feed.Pod(obj)) }
		}
		rule := &asker{ObjectMeta: metav1.ObjectMeta{Name: "r"}}
		rule.Spec.Ports = choice{Namespace: "default", PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}}
		rule.Spec.From = []choice{{PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}}
		for _, step := range []struct {
			web, far     string
			webIn, farIn bool
		}{{"web", "x", true, false}, {"x", "web", false, true}, {"x", "x", false, false}} {
			w.more = []object{labelled("web", step.web), labelled("db", "db"), labelled("far", step.far), func(s *state.Store) { putAsker(s, rule) }}
			n.become(w)
			web, db, far := hostOfPod(w, w.pods[0]), hostOfPod(w, w.pods[1]), hostOfPod(w, w.pods[2])
			out := map[bool][]string{true: {db.port}}
			expectOut(t, fmt.Sprintf("IPv%s, a neighbour with the label %s", families, step.web), n.send(web, db.addrs[0], db.mac), out[step.webIn])
			expectOut(t, fmt.Sprintf("IPv%s, a Pod of another Subnet with the label %s", families, step.far), n.send(far, db.addrs[0], ""), out[step.farIn])
			expectOut(t, "to a Pod that no rule chooses", n.send(far, web.addrs[0], ""), []string{web.port})
		}
	}
}
