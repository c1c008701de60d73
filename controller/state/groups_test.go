package state_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-net/heddle/controller/state"
)

func is(key string, values ...string) state.Requirement {
	return state.Requirement{Key: key, Operator: state.In, Values: values}
}

func isNot(key string, values ...string) state.Requirement {
	return state.Requirement{Key: key, Operator: state.NotIn, Values: values}
}

func has(key string) state.Requirement { return state.Requirement{Key: key, Operator: state.Exists} }

func lacks(key string) state.Requirement {
	return state.Requirement{Key: key, Operator: state.DoesNotExist}
}

// pods are the Pods of a Namespace that satisfy requirements.
func pods(namespace string, requirements ...state.Requirement) state.Selector {
	return state.Selector{Namespace: namespace, Pods: requirements}
}

// peers are the Pods that satisfy requirements in Namespaces that satisfy others.
func peers(namespaces, pods []state.Requirement) state.Selector {
	return state.Selector{Namespaces: namespaces, Pods: pods}
}

// ask compiles an owner that asks for sets, and returns the groups that commit with it.
func ask(s *state.Store, who string, kind state.SetKind, selectors ...state.Selector) string {
	groups := s.Compile(owner(who), func(v *state.View) {
		for _, selector := range selectors {
			v.Group(selector, kind)
		}
	})
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = g.String()
	}
	return strings.Join(names, " ")
}

func putPod(s *state.Store, namespace, name string, labels map[string]string) {
	s.Pods.Put(namespace+"/"+name, &state.Pod{Namespace: namespace, Name: name, Labels: state.LabelsOf(labels)})
}

func putIP(s *state.Store, namespace, name string, addrs ...string) {
	ip := &state.IP{Name: state.PodPort(namespace, name)}
	for _, a := range addrs {
		ip.IPs = append(ip.IPs, netip.MustParseAddr(a))
	}
	s.IPs.Put(ip.Name, ip)
}

func putNamespace(s *state.Store, name string, labels map[string]string) {
	s.Namespaces.Put(name, &state.Namespace{Name: name, Labels: state.LabelsOf(labels)})
}

// members prints the sets of a group, as its compiler sees them.
func members(s *state.Store, key string) string {
	var texts []string
	s.Compile(owner("group/"+key), func(v *state.View) {
		for _, set := range v.Sets(key) {
			prefix, _, _ := strings.Cut(set.Name, "_")
			texts = append(texts, prefix+"="+strings.Join(slices.Collect(set.Members.All()), ","))
		}
	})
	return strings.ReplaceAll(strings.Join(texts, " "), "@Logical_Switch_Port/", "@")
}

// TestMembers follows a group and its neighbours through everything that can happen to a Pod: what becomes dirty together,
// and what the group has then.
func TestMembers(t *testing.T) {
	s := newStore()
	web := map[string]string{"app": "web"}
	putNamespace(s, "blue", map[string]string{"team": "x"})
	putPod(s, "blue", "a", web)
	putIP(s, "blue", "a", "10.0.0.1", "fd00::1")
	putPod(s, "red", "a", web) // its Namespace is not known yet
	putIP(s, "red", "a", "10.0.0.9")
	team := peers([]state.Requirement{is("team", "x")}, []state.Requirement{is("app", "web")})
	const key, other = "[team=x]:app=web", "blue:app=db"
	if got := ask(s, "asker/1", state.Ports, team); got != "group/"+key {
		t.Errorf("the first to ask brings %q", got)
	}
	if got := ask(s, "asker/2", state.Ports, team); got != "" {
		t.Errorf("the second to ask brings %q", got)
	}
	if got := members(s, key); got != "pg=@a.blue" {
		t.Errorf("a group of ports has %s", got)
	}
	ask(s, "asker/3", state.IPv4, team, pods("blue", is("app", "db")))
	ask(s, "asker/4", state.IPv6, team)
	members(s, other)
	take(s)
	const empty = "pg= as4= as6="
	for _, step := range []struct {
		what        string
		do          func()
		dirty, want string
	}{
		{"nothing", func() {}, "", "pg=@a.blue as4=10.0.0.1 as6=fd00::1"},
		{"a Pod without an address", func() { putPod(s, "blue", "b", web) }, "pod/blue/b", "pg=@a.blue as4=10.0.0.1 as6=fd00::1"},
		{"its address", func() { putIP(s, "blue", "b", "10.0.0.2") }, "group/[team=x]:app=web", "pg=@a.blue,@b.blue as4=10.0.0.1,10.0.0.2 as6=fd00::1"},
		{"another address", func() { putIP(s, "blue", "b", "10.0.0.3") }, "group/[team=x]:app=web", "pg=@a.blue,@b.blue as4=10.0.0.1,10.0.0.3 as6=fd00::1"},
		{"a label that nobody looks at", func() { putPod(s, "blue", "b", map[string]string{"app": "web", "x": ""}) }, "pod/blue/b", "pg=@a.blue,@b.blue as4=10.0.0.1,10.0.0.3 as6=fd00::1"},
		{"into another group", func() { putPod(s, "blue", "b", map[string]string{"app": "db"}) }, "group/[team=x]:app=web group/blue:app=db pod/blue/b", "pg=@a.blue as4=10.0.0.1 as6=fd00::1"},
		{"and back", func() { putPod(s, "blue", "b", web) }, "group/[team=x]:app=web group/blue:app=db pod/blue/b", "pg=@a.blue,@b.blue as4=10.0.0.1,10.0.0.3 as6=fd00::1"},
		{"the Namespace moves out", func() { putNamespace(s, "blue", nil) }, "group/[team=x]:app=web", empty},
		{"and in, and another one", func() {
			putNamespace(s, "blue", map[string]string{"team": "x", "y": ""})
			putNamespace(s, "red", map[string]string{"team": "x"})
		}, "group/[team=x]:app=web", "pg=@a.blue,@a.red,@b.blue as4=10.0.0.1,10.0.0.3,10.0.0.9 as6=fd00::1"},
		{"a Namespace goes", func() { s.Namespaces.Delete("red") }, "group/[team=x]:app=web", "pg=@a.blue,@b.blue as4=10.0.0.1,10.0.0.3 as6=fd00::1"},
		{"two with one address", func() { putIP(s, "blue", "b", "10.0.0.1") }, "group/[team=x]:app=web", "pg=@a.blue,@b.blue as4=10.0.0.1 as6=fd00::1"},
		{"one of them goes", func() { s.Pods.Delete("blue/a") }, "group/[team=x]:app=web pod/blue/a", "pg=@b.blue as4=10.0.0.1 as6="},
		{"its address goes", func() { s.IPs.Delete("a.blue") }, "", "pg=@b.blue as4=10.0.0.1 as6="},
		{"the other's address goes", func() { s.IPs.Delete("b.blue") }, "group/[team=x]:app=web", empty},
		{"a Pod of another Namespace", func() { putPod(s, "green", "a", web); putIP(s, "green", "a", "10.0.0.8") }, "pod/green/a", empty},
	} {
		step.do()
		expect(t, s, step.what, step.dirty)
		if got := members(s, key); got != step.want {
			t.Errorf("%s: the group has %s, want %s", step.what, got, step.want)
		}
	}
	if got := ask(s, "asker/1", state.Ports); got != "" {
		t.Errorf("one of two that ask ceases to: %q", got)
	}
	if got := ask(s, "asker/2", state.Ports); got != "group/"+key || members(s, key) != "as4= as6=" {
		t.Errorf("nobody asks for ports: %q, %s", got, members(s, key))
	}
	ask(s, "asker/3", state.IPv4)
	if got := ask(s, "asker/4", state.IPv6); got != "group/"+key || members(s, key) != "" || len(s.Groups()) != 0 {
		t.Errorf("nobody asks: %q, %s, %v", got, members(s, key), s.Groups())
	}
}

// TestJoining shows that compiling a Pod names the groups that must commit with it, whoever was dirty before.
func TestJoining(t *testing.T) {
	s := newStore()
	ask(s, "asker/1", state.IPv4, pods("blue"), pods("red"))
	members(s, "blue:")
	putPod(s, "blue", "a", nil)
	putIP(s, "blue", "a", "10.0.0.1")
	for _, want := range []string{"group/blue:", ""} {
		if got := ask(s, "pod/blue/a", state.IPv4); got != want {
			t.Errorf("the Pod brings %q, want %q", got, want)
		}
	}
	s.Pods.Delete("blue/a")
	if got := ask(s, "pod/blue/a", state.IPv4); got != "group/blue:" {
		t.Errorf("the Pod that goes brings %q", got)
	}
}

// TestManyGroupsStayTogether shows that a Pod joins all its groups at once, however many.
func TestManyGroupsStayTogether(t *testing.T) {
	s := newStore()
	var selectors []state.Selector
	labels := make(map[string]string)
	for i := range 300 {
		key := fmt.Sprintf("k%d", i)
		labels[key] = "v"
		selectors = append(selectors, pods("blue", is(key, "v")))
	}
	ask(s, "asker/1", state.IPv4, selectors...)
	members(s, "blue:k0=v")
	putIP(s, "blue", "a", "10.0.0.1")
	putPod(s, "blue", "a", labels)
	if owners, event := s.Take(1); len(owners) != 301 || !event {
		t.Errorf("%d owners are taken together, want 301; by an event: %v", len(owners), event)
	}
}

// BenchmarkPodAndSelectors is one Pod whose labels change, back and forth, with 1,000 selectors, of which it joins 10 and
// leaves 10.
func BenchmarkPodAndSelectors(b *testing.B) {
	for name, selector := range map[string]func(i int) state.Selector{
		"one namespace, label": func(i int) state.Selector {
			return pods(fmt.Sprintf("n%d", i/10), has("tier"), is("app", "web-7", fmt.Sprint(i)))
		},
		"all namespaces, label": func(i int) state.Selector {
			return peers(nil, []state.Requirement{is("app", fmt.Sprintf("web-%d", i/10)), isNot("x", fmt.Sprint(i))})
		},
		"namespace label, every Pod": func(i int) state.Selector {
			return peers([]state.Requirement{is("kubernetes.io/metadata.name", fmt.Sprintf("n%d", i/10))}, []state.Requirement{isNot("tier", fmt.Sprint(i))})
		},
	} {
		b.Run(name, func(b *testing.B) {
			s := newStore()
			for i := range 100 {
				putNamespace(s, fmt.Sprintf("n%d", i), map[string]string{"kubernetes.io/metadata.name": fmt.Sprintf("n%d", i), "team": "x"})
			}
			for i := range 1000 {
				ask(s, fmt.Sprintf("asker/%d", i), state.IPv4, selector(i))
			}
			members(s, s.Groups()[0].Key)
			putIP(s, "n7", "a", "10.0.0.1")
			turn := []map[string]string{{"app": "web-7", "tier": "1", "pod-template-hash": "x"}, {"app": "web-8", "tier": "2", "pod-template-hash": "x"}}
			var labels [2]state.Labels
			for i := range turn {
				labels[i] = state.LabelsOf(turn[i])
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.Pods.Put("n7/a", &state.Pod{Namespace: "n7", Name: "a", Labels: labels[i%2]})
				s.Take(1)
				s.Compile(owner("pod/n7/a"), func(*state.View) {})
			}
		})
	}
}
