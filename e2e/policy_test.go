package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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
	var ends []end
	names := make(map[int]string)
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
	for _, p := range pods {
		for _, port := range []int{podPort, otherPort} {
			x := podEnd(p)
			x.port = port
			names[len(ends)] = p.Labels["pod"]
			for space, ns := range spaces {
				if ns == p.Namespace {
					names[len(ends)] = space + "/" + p.Name
				}
			}
			ends = append(ends, x)
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
			e.expectFlows(t, fmt.Sprintf("%s, IPv6 %t", c.name, v6), ends, names, v6, c.allowed)
		}
		for _, obj := range objects {
			e.remove(t, obj)
		}
	}
}

// expectFlows asks everybody about everybody until all is as it should be, or the time is over.
func (e *env) expectFlows(t *testing.T, what string, ends []end, names map[int]string, v6 bool, allowed func(policyFlow) bool) {
	t.Helper()
	var all []question
	for from := range ends {
		for to := range ends {
			for _, p := range []string{"tcp", "udp"} {
				if from%2 == 0 && names[from] != names[to] { // a Pod asks once, whatever it serves
					all = append(all, question{from, to, p})
				}
			}
		}
	}
	open := all
	var answers map[question]string
	for deadline := time.Now().Add(timeLimit); len(open) > 0; {
		answers = e.ask(t, ends, open, v6)
		open = slices.DeleteFunc(slices.Clone(open), func(q question) bool {
			return allowed(policyFlow{names[q.from], names[q.to], ends[q.to].port, q.protocol}) == (answers[q] == "")
		})
		if time.Now().After(deadline) {
			break
		}
	}
	for _, q := range open[:min(len(open), 8)] {
		t.Errorf("%s: %s to %s port %d by %s: %q", what, names[q.from], names[q.to], ends[q.to].port, q.protocol, answers[q])
	}
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
