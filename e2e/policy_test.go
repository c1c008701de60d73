package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// otherPort is a second one that the Pods of these tests serve.
const otherPort = podPort + 1

// policyFlow is what a table of expectations is asked about: Pods are namespace/name, such as a/x.
type policyFlow struct {
	from, to string
	port     int
	protocol string
}

// TestPolicies compares what three Namespaces of three Pods reach of one another, on two ports by TCP and UDP, with what their policies
// say, in each family.
func TestPolicies(t *testing.T) {
	t.Parallel()
	e := use(t)
	e.subnet(t, "policies", "10.142.0.0/24,fd00:10:142::/112", nil)
	spaces := make(map[string]string)
	var pods []*corev1.Pod
	for i, space := range []string{"a", "b", "c"} {
		spaces[space] = e.namespace(t, "policy-"+space, map[string]string{"space": space})
		for j, name := range []string{"x", "y", "z"} {
			p := inSubnet(pod(spaces[space], name, e.Nodes()[(i+j)%2]), "policies")
			p.Labels = map[string]string{"pod": name}
			second := agnhost(otherPort)
			second.Name = "second"
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "main", ContainerPort: podPort}}
			p.Spec.Containers = append(p.Spec.Containers, second)
			pods = append(pods, p)
		}
	}
	e.start(t, pods...)
	var places []policyPlace
	for _, p := range pods {
		for space, ns := range spaces {
			if ns == p.Namespace {
				places = append(places, policyPlace{e.podAsker(t, p), space + "/" + p.Name})
			}
		}
	}
	for _, c := range []struct {
		name     string
		policies map[string]string // by Namespace
		allowed  func(policyFlow) bool
	}{
		{"none", nil, func(policyFlow) bool { return true }},
		{"default deny", map[string]string{"a": "{podSelector: {}}"}, func(f policyFlow) bool { return !strings.HasPrefix(f.to, "a/") }},
		{"a Namespace, one port by its name", map[string]string{"a": "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {space: b}}}], ports: [{port: main}]}]}"}, func(f policyFlow) bool {
			return !strings.HasPrefix(f.to, "a/") || strings.HasPrefix(f.from, "b/") && f.port == podPort && f.protocol == "tcp"
		}},
		{"egress to one Pod by UDP", map[string]string{"b": "{podSelector: {matchLabels: {pod: x}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {pod: \"y\"}}}], ports: [{protocol: UDP}]}]}"}, func(f policyFlow) bool {
			return f.from != "b/x" || strings.HasSuffix(f.to, "/y") && f.protocol == "udp"
		}},
		{"both sides must agree", map[string]string{
			"a": "{podSelector: {matchLabels: {pod: x}}, ingress: [{from: [{namespaceSelector: {matchLabels: {space: b}}}]}]}",
			"b": "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {space: a}}, podSelector: {matchLabels: {pod: x}}}]}]}",
		}, func(f policyFlow) bool {
			if strings.HasPrefix(f.from, "b/") {
				return f.to == "a/x"
			}
			return f.to != "a/x"
		}},
	} {
		var objects []*networkingv1.NetworkPolicy
		for space, spec := range c.policies {
			obj := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: spaces[space], Name: "p"}}
			if err := yaml.UnmarshalStrict([]byte(spec), &obj.Spec); err != nil {
				t.Fatal(err)
			}
			e.create(t, obj)
			objects = append(objects, obj)
		}
		for _, v6 := range []bool{false, true} {
			expectFlows(t, fmt.Sprintf("%s, IPv6 %t", c.name, v6), places, v6, c.allowed)
		}
		for _, obj := range objects {
			e.remove(t, obj)
		}
	}
}

// policyPlace is a Pod as tables of expectations name it.
type policyPlace struct {
	asker
	place string
}

// openCell is a question of the table of who reaches whom, and the last answer.
type openCell struct {
	policyFlow
	asker  asker
	target string
	want   bool
	answer string
}

// expectFlows asks everybody about everybody until all is as it should be, or the time is over.
func expectFlows(t *testing.T, what string, places []policyPlace, v6 bool, allowed func(policyFlow) bool) {
	t.Helper()
	var open []*openCell
	for _, from := range places {
		for _, to := range places {
			for _, port := range []int{podPort, otherPort} {
				for _, protocol := range []string{"tcp", "udp"} {
					f := policyFlow{from.place, to.place, port, protocol}
					if from.place != to.place {
						open = append(open, &openCell{f, from.asker, target(ofFamily(to.sources, v6), int32(port)), allowed(f), ""})
					}
				}
			}
		}
	}
	asked := len(open)
	for deadline := time.Now().Add(timeLimit); len(open) > 0; {
		askCells(t, open)
		open = slices.DeleteFunc(open, func(c *openCell) bool { return c.want == (c.answer != isSilent) })
		if time.Now().After(deadline) {
			break
		}
	}
	for _, c := range open[:min(len(open), 8)] {
		t.Errorf("%s: %s to %s port %d by %s: %q, want an answer: %t", what, c.from, c.to, c.port, c.protocol, c.answer, c.want)
	}
	t.Logf("%s: %d of %d as wanted", what, asked-len(open), asked)
}

// policySilence is how long a cell of the table waits. What is allowed and does not answer in that time is asked again.
const policySilence = 500 * time.Millisecond

// askCells asks many at a time: most of those that are forbidden wait in vain.
func askCells(t *testing.T, cells []*openCell) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(100)
	for _, c := range cells {
		group.Go(func() error {
			c.answer = c.asker.briefly(t.Context(), frontend{protocol: c.protocol, target: c.target}, policySilence)
			return nil
		})
	}
	_ = group.Wait()
}

// TestIsolatedFromTheStart starts Pods into a Namespace that denies everything, with a neighbour that asks them as soon as they have an
// address; probes of the kubelet make them Ready all the same.
func TestIsolatedFromTheStart(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns, outside := e.namespace(t, "policy-first", nil), e.namespace(t, "policy-first-client", nil)
	e.subnet(t, "policy-first", "10.143.0.0/24", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns, outside} })
	e.create(t, &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "deny"}})
	client := pod(outside, "client", e.Nodes()[0])
	e.start(t, client)
	for i := range 5 {
		server := withAddress(pod(ns, fmt.Sprintf("server-%d", i), e.Nodes()[i%2]), fmt.Sprintf("10.143.0.%d", 100+i))
		asked := make(chan string)
		go func() {
			asked <- e.exec(t, client, "sh", "-c", fmt.Sprintf(
				`n=0; while [ $n -lt 40 ]; do n=$((n+1)); curl -s -m 0.3 http://10.143.0.%d:%d/hostname && echo; done; true`, 100+i, podPort))
		}()
		e.start(t, server)
		if said := <-asked; said != "" {
			t.Errorf("a Pod answered although it is isolated: %q", said)
		}
	}
}
