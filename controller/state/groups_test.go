package state_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

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
