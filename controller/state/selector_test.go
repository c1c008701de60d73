package state_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/heddle-net/heddle/controller/state"
)

// TestSelectorForms shows that selectors that mean the same are one group, and others are not.
func TestSelectorForms(t *testing.T) {
	r := func(list ...state.Requirement) []state.Requirement { return list }
	for _, c := range []struct {
		selector state.Selector
		want     string
	}{
		{pods("blue"), "blue:"},
		{peers(nil, nil), "[]:"},
		{pods("blue", is("b", "2"), is("a", "1")), "blue:a=1,b=2"},
		{pods("blue", is("a", "1"), is("a", "1")), "blue:a=1"},
		{pods("blue", is("a", "2", "1", "2")), "blue:a in (1,2)"},
		{pods("blue", is("a", "1", "2", "3"), is("a", "3", "2")), "blue:a in (2,3)"},
		{pods("blue", is("a", "1", "2"), isNot("a", "2")), "blue:a=1"},
		{pods("blue", is("a", "1"), has("a")), "blue:a=1"},
		{pods("blue", is("a", "1"), isNot("a")), "blue:a=1"},
		{pods("blue", isNot("a")), "blue:"},
		{pods("blue", isNot("a", "2"), isNot("a", "1", "2")), "blue:a notin (1,2)"},
		{pods("blue", isNot("a", "1"), has("a")), "blue:a,a!=1"},
		{pods("blue", isNot("a", "1"), lacks("a")), "blue:!a"},
		{pods("blue", is("a", "1"), is("a", "2")), "nothing"},
		{pods("blue", is("a", "1"), isNot("a", "1")), "nothing"},
		{pods("blue", is("a")), "nothing"},
		{pods("blue", has("a"), lacks("a")), "nothing"},
		{pods("blue", is("a", "1"), lacks("a")), "nothing"},
		{peers(r(is("team", "x")), r(has("app"))), "[team=x]:app"},
		{peers(r(is("a", "1"), lacks("a")), nil), "nothing"},
		{state.Selector{Namespace: "blue", Namespaces: r(is("a", "1"))}, "blue:"},
		{pods("blue", is("app.kubernetes.io/name", "")), "blue:app.kubernetes.io/name="},
		{pods("blue", is("a", "1,b=2")), `blue:a="1,b=2"`},
		{pods("blue", is("a", "\x00")), `blue:a="\x00"`},
		{pods("[a]", is("a", "1")), `"[a]":a=1`},
	} {
		if got := ask(newStore(), "asker/a", state.Ports, c.selector); got != "group/"+c.want {
			t.Errorf("%+v is %s, want %s", c.selector, got, c.want)
		}
	}
}

// oddity is a random requirement in both notations.
func oddity(r *rand.Rand) (state.Requirement, metav1.LabelSelectorRequirement) {
	values := []string{fmt.Sprint(r.IntN(3)), fmt.Sprint(r.IntN(3))}[:1+r.IntN(2)]
	key := string(rune('a' + r.IntN(3)))
	kind := r.IntN(4)
	if kind > 1 {
		values = nil
	}
	operators := []metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist"}
	return state.Requirement{Key: key, Operator: state.Operator(kind), Values: values},
		metav1.LabelSelectorRequirement{Key: key, Operator: operators[kind], Values: values}
}

type choice struct {
	state.Selector
	inside, fits labels.Selector // Namespaces and Pods
	key, asker   string
}

func randomChoice(t *testing.T, r *rand.Rand) choice {
	var c choice
	var namespaces, pods metav1.LabelSelector
	for range r.IntN(3) {
		ours, theirs := oddity(r)
		c.Pods, pods.MatchExpressions = append(c.Pods, ours), append(pods.MatchExpressions, theirs)
	}
	for range r.IntN(3) {
		ours, theirs := oddity(r)
		c.Namespaces, namespaces.MatchExpressions = append(c.Namespaces, ours), append(namespaces.MatchExpressions, theirs)
	}
	if r.IntN(2) == 0 {
		c.Namespace, c.Namespaces, namespaces = fmt.Sprintf("n%d", r.IntN(3)), nil, metav1.LabelSelector{}
	}
	var err error
	if c.fits, err = metav1.LabelSelectorAsSelector(&pods); err != nil {
		t.Fatal(err)
	}
	if c.inside, err = metav1.LabelSelectorAsSelector(&namespaces); err != nil {
		t.Fatal(err)
	}
	return c
}

func randomLabels(r *rand.Rand) map[string]string {
	m := make(map[string]string)
	for range r.IntN(4) {
		m[string(rune('a'+r.IntN(3)))] = fmt.Sprint(r.IntN(3))
	}
	return m
}

// TestSelectorsAsKubernetes lets random Pods and Namespaces come, change and go, and compares groups with what Kubernetes' own
// selectors choose. Some groups are there from the beginning, others come late.
func TestSelectorsAsKubernetes(t *testing.T) {
	chosen := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 13))
		s := newStore()
		var choices []choice
		podLabels, namespaceLabels := make(map[string]labels.Set), make(map[string]labels.Set)
		addresses := make(map[string]bool)
		for step := range 120 {
			namespace, name := fmt.Sprintf("n%d", r.IntN(3)), fmt.Sprintf("p.%d", r.IntN(6))
			key := namespace + "/" + name
			switch r.IntN(9) {
			case 8:
				if len(choices) > 0 { // the last one is asked for no more
					last := choices[len(choices)-1]
					choices = choices[:len(choices)-1]
					if got := ask(s, last.asker, state.Ports); got != "group/"+last.key {
						t.Fatalf("seed %d: without its asker goes %q, want %s", seed, got, last.key)
					}
				}
			case 0:
				namespaceLabels[namespace] = randomLabels(r)
				putNamespace(s, namespace, namespaceLabels[namespace])
			case 1, 2:
				podLabels[key] = randomLabels(r)
				putPod(s, namespace, name, podLabels[key])
			case 3, 4:
				addresses[key] = true
				putIP(s, namespace, name, "10.0.0.1")
			case 5:
				delete(addresses, key)
				s.IPs.Delete(state.PodPort(namespace, name))
			case 6:
				delete(podLabels, key)
				s.Pods.Delete(key)
			case 7:
				c := randomChoice(t, r)
				c.asker = fmt.Sprintf("asker/%d", step)
				c.key = strings.TrimPrefix(ask(s, c.asker, state.Ports, c.Selector), "group/")
				if c.key == "" { // somebody has asked already
					ask(s, c.asker, state.Ports)
				} else {
					choices = append(choices, c)
				}
			}
			for _, c := range choices {
				var want []string
				for key, set := range podLabels {
					namespace, name, _ := strings.Cut(key, "/")
					inside := c.Namespace == namespace || c.Namespace == "" && (c.inside.Empty() || namespaceLabels[namespace] != nil && c.inside.Matches(namespaceLabels[namespace]))
					if inside && addresses[key] && c.fits.Matches(set) {
						want = append(want, "@"+name+"."+namespace)
					}
				}
				slices.Sort(want)
				chosen += len(want)
				if got := members(s, c.key); got != "pg="+strings.Join(want, ",") {
					t.Fatalf("seed %d: %s has %s, want %v", seed, c.key, got, want)
				}
			}
		}
	}
	if chosen < 10_000 {
		t.Errorf("only %d members: the worlds are too small to show anything", chosen)
	}
}
