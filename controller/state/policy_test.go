package state_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heddle-net/heddle/controller/state"
)

// isolate compiles an owner that isolates Pods, and returns the groups that commit with it.
func isolate(s *state.Store, who string, direction state.Direction, laxly bool, selectors ...state.Selector) string {
	groups := s.Compile(owner(who), func(v *state.View) {
		for _, selector := range selectors {
			v.Isolate(selector, direction, laxly)
		}
	})
	return strings.Trim(fmt.Sprint(groups), "[]")
}

// TestIsolation shows that the first one who isolates Pods and the last one who does not any more bring their group along, in each
// direction, and nobody between them. Who isolates laxly makes no difference while somebody isolates wholly.
func TestIsolation(t *testing.T) {
	s := state.New(state.Config{})
	all, web := pods("blue"), pods("blue", is("app", "web"))
	for _, step := range []struct {
		name, who string
		direction state.Direction
		laxly     bool
		selectors []state.Selector
		commits   string
		isolated  string
	}{
		{"first", "networkpolicy/blue/a", state.Ingress, false, []state.Selector{all}, "group/blue: group/blue: group/blue:", "[ingress]"},
		{"again", "networkpolicy/blue/a", state.Ingress, false, []state.Selector{all}, "", "[ingress]"},
		{"a second one", "networkpolicy/blue/b", state.Ingress, false, []state.Selector{all}, "", "[ingress]"},
		{"laxly", "networkpolicy/blue/d", state.Ingress, true, []state.Selector{all}, "group/blue:", "[ingress]"},
		{"the other direction", "networkpolicy/blue/c", state.Egress, false, []state.Selector{all}, "group/blue:", "[ingress egress]"},
		{"one leaves", "networkpolicy/blue/a", state.Ingress, false, nil, "", "[ingress egress]"},
		{"the last one leaves for other Pods", "networkpolicy/blue/b", state.Ingress, false, []state.Selector{web}, "group/blue: group/blue:app=web group/blue:app=web group/blue:app=web", "[ingress laxly egress]"},
		{"nobody does laxly any more", "networkpolicy/blue/d", state.Ingress, true, nil, "group/blue:", "[egress]"},
		{"all are gone", "networkpolicy/blue/c", state.Egress, false, nil, "group/blue: group/blue: group/blue:", "[]"},
	} {
		if got := isolate(s, step.who, step.direction, step.laxly, step.selectors...); got != step.commits {
			t.Errorf("%s: %q commit with it, want %q", step.name, got, step.commits)
		}
		var got string
		s.Inspect(func(v *state.View) { got = isolatedText(v, "blue:") })
		if got != step.isolated {
			t.Errorf("%s: isolated %s, want %s", step.name, got, step.isolated)
		}
	}
}

func isolatedText(v *state.View, key string) string {
	var texts []string
	for _, d := range []state.Direction{state.Ingress, state.Egress} {
		switch is, laxly := v.Isolated(key, d); {
		case is && laxly:
			texts = append(texts, d.String()+" laxly")
		case is:
			texts = append(texts, d.String())
		}
	}
	return fmt.Sprint(texts)
}

// TestPortNumbers follows the numbers of a named port through the lives of Pods: who reads them is told of a number that is new or
// gone, and of nothing else.
func TestPortNumbers(t *testing.T) {
	s := state.New(state.Config{})
	http := state.PortLabel("tcp", "http")
	var here, everywhere []uint16
	compile := func() {
		s.Compile(owner("networkpolicy/blue/here"), func(v *state.View) { here = v.PortNumbers("blue", "tcp", "http") })
		s.Compile(owner("networkpolicy/blue/all"), func(v *state.View) { everywhere = v.PortNumbers("", "tcp", "http") })
	}
	put := func(namespace, name, number string) func() {
		return func() { putPod(s, namespace, name, map[string]string{"app": name, http: number}) }
	}
	compile()
	for _, step := range []struct {
		name             string
		do               func()
		told             string
		here, everywhere string
	}{
		{"a first number", put("blue", "a", "8080"), "networkpolicy/blue/all networkpolicy/blue/here pod/blue/a", "[8080]", "[8080]"},
		{"the same", put("blue", "b", "8080"), "pod/blue/b", "[8080]", "[8080]"},
		{"another one, elsewhere", put("green", "c", "80"), "networkpolicy/blue/all pod/green/c", "[8080]", "[80 8080]"},
		{"not the only one goes", func() { s.Pods.Delete("blue/a") }, "pod/blue/a", "[8080]", "[80 8080]"},
		{"a Pod becomes another one", put("blue", "b", "80"), "networkpolicy/blue/all networkpolicy/blue/here pod/blue/b", "[80]", "[80]"},
		{"the last one here", func() { s.Pods.Delete("blue/b") }, "networkpolicy/blue/here pod/blue/b", "[]", "[80]"},
		{"another port", func() { putPod(s, "blue", "d", map[string]string{state.PortLabel("udp", "http"): "1"}) }, "pod/blue/d", "[]", "[80]"},
	} {
		s.TakeAll()
		step.do()
		var told []string
		for _, o := range s.TakeAll() {
			told = append(told, o.String())
		}
		if got := strings.Join(told, " "); got != step.told {
			t.Errorf("%s: told %q, want %q", step.name, got, step.told)
		}
		compile()
		if fmt.Sprint(here) != step.here || fmt.Sprint(everywhere) != step.everywhere {
			t.Errorf("%s: %d and %d, want %s and %s", step.name, here, everywhere, step.here, step.everywhere)
		}
	}
}
