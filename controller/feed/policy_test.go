package feed_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/state"
)

// TestNetworkPolicy reads policies as their authors write them. Each line of what comes out is a rule.
func TestNetworkPolicy(t *testing.T) {
	for _, c := range []struct{ name, spec, isolates, rules, invalid string }{
		{"nothing", `{}`, "ingress", "", ""},
		{"egress rules", `{egress: [{}]}`, "ingress egress", "egress anybody any port", ""},
		{"egress types without rules", `{policyTypes: [Egress]}`, "egress", "", ""},
		{"rules of a direction that is not in the types", `{policyTypes: [Egress], ingress: [{}]}`, "egress", "", ""},
		{"everything", `{ingress: [{}]}`, "ingress", "ingress anybody any port", ""},
		{"empty lists", `{ingress: [{from: [], ports: []}]}`, "ingress", "ingress anybody any port", ""},
		{"Pods here", `{ingress: [{from: [{podSelector: {}}]}]}`, "ingress", "ingress {blue [] []} any port", ""},
		{"Pods of Namespaces", `{ingress: [{from: [{namespaceSelector: {}}]}]}`, "ingress", "ingress { [] []} any port", ""},
		{"Pods by both", `{ingress: [{from: [{namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: web}}}]}]}`, "ingress", "ingress { [team=a] [app=web]} any port", ""},
		{"a block", `{egress: [{to: [{ipBlock: {cidr: 10.1.2.3/8, except: [10.2.0.0/16, 10.1.0.1/32]}}]}], policyTypes: [Egress]}`, "egress", "egress 10.0.0.0/8-10.1.0.1/32-10.2.0.0/16 any port", ""},
		{"an IPv4 block as IPv6", `{ingress: [{from: [{ipBlock: {cidr: "::ffff:10.0.0.0/104"}}]}]}`, "ingress", "ingress 10.0.0.0/8 any port", ""},
		{"ports", `{ingress: [{ports: [{port: 80}, {port: 1, endPort: 65535, protocol: UDP}, {protocol: SCTP}, {port: http}]}]}`, "ingress", "ingress anybody tcp80-80 udp1-65535 sctp0-0 tcphttp0-0", ""},

		{"unknown type", `{policyTypes: [Ingres], ingress: [{}]}`, "ingress egress", "ingress anybody any port", `spec.policyTypes: unknown type "Ingres"; the Pods are isolated in both directions`},
		{"unreadable selector", `{podSelector: {matchLabels: {app: web}, matchExpressions: [{key: tier, operator: Is, values: [a]}]}, ingress: [{}]}`, "ingress", "", `spec.podSelector: unknown operator "Is"; every Pod of the Namespace is isolated, and nothing is allowed`},
		{"a selector by the port", `{ingress: [{from: [{podSelector: {matchLabels: {app: web}, matchExpressions: [{key: port/tcp/http, operator: Exists}]}}]}]}`, "ingress", "", `spec.ingress[0].from[0]: podSelector: "port/tcp/http" is no label`},
		{"values where none may be", `{ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: a, operator: NotIn}]}}]}]}`, "ingress", "", `spec.ingress[0].from[0]: namespaceSelector: operator "NotIn" of "a" with 0 values`},
		{"an empty peer is not everybody", `{ingress: [{from: [{}]}]}`, "ingress", "", "spec.ingress[0].from[0]: neither an ipBlock nor a selector"},
		{"a block beside a selector", `{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]}`, "ingress", "", "spec.ingress[0].from[0]: an ipBlock beside a selector"},
		{"half of the peers", `{ingress: [{from: [{}, {podSelector: {}}]}]}`, "ingress", "ingress {blue [] []} any port", "spec.ingress[0].from[0]: neither an ipBlock nor a selector"},
		{"an address for a CIDR", `{ingress: [{from: [{ipBlock: {cidr: 10.0.0.1}}]}]}`, "ingress", "", `spec.ingress[0].from[0].ipBlock: "10.0.0.1" is no CIDR`},
		{"an unreadable exception", `{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [010.0.0.0/16]}}]}]}`, "ingress", "", `spec.ingress[0].from[0].ipBlock: except: "010.0.0.0/16" is no CIDR`},
		{"both families", `{ingress: [{from: [{ipBlock: {cidr: "::ffff:0:0/90"}}]}]}`, "ingress", "", `spec.ingress[0].from[0].ipBlock: "::ffff:0:0/90" is neither an IPv4 nor an IPv6 range`},
		{
			"unreadable ports", `{ingress: [{ports: [{protocol: ICMP}, {endPort: 1}, {port: a, endPort: 1}, {port: ""}, {port: 0}, {port: 9, endPort: 8}, {port: 65535, endPort: 65536}]}]}`, "ingress", "",
			`spec.ingress[0].ports[0]: unknown protocol "ICMP"; spec.ingress[0].ports[1]: endPort without port; spec.ingress[0].ports[2]: endPort with the name of a port; ` +
				`spec.ingress[0].ports[3]: the name of the port is empty; spec.ingress[0].ports[4]: 0 to 0 is no range of ports; spec.ingress[0].ports[5]: 9 to 8 is no range of ports; ` +
				`spec.ingress[0].ports[6]: 65535 to 65536 is no range of ports`,
		},
		{"half of the ports", `{ingress: [{ports: [{port: 0}, {port: 80}]}]}`, "ingress", "ingress anybody tcp80-80", "spec.ingress[0].ports[0]: 0 to 0 is no range of ports"},
	} {
		obj := &networkingv1.NetworkPolicy{}
		if err := yaml.UnmarshalStrict([]byte("metadata: {namespace: blue, name: x}\nspec: "+c.spec), obj); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		p := feed.NetworkPolicy(obj)
		if isolates, rules := isolatesText(p), rulesText(p); isolates != c.isolates || rules != c.rules || strings.Join(p.Invalid, "; ") != c.invalid {
			t.Errorf("%s: %s\n%s\n%s\nwant %s\n%s\n%s", c.name, isolates, rules, strings.Join(p.Invalid, "; "), c.isolates, c.rules, c.invalid)
		}
	}
}

func isolatesText(p *state.NetworkPolicy) string {
	var texts []string
	for d, isolates := range p.Isolates {
		if isolates {
			texts = append(texts, state.Direction(d).String())
		}
	}
	return strings.Join(texts, " ")
}

func rulesText(p *state.NetworkPolicy) string {
	var lines []string
	for _, r := range p.Rules {
		words := []string{r.Direction.String()}
		if r.Anybody {
			words = append(words, "anybody")
		}
		for _, peer := range r.Peers {
			words = append(words, fmt.Sprint(peer))
		}
		for _, b := range r.Blocks {
			text := b.Prefix.String()
			for _, e := range b.Except {
				text += "-" + e.String()
			}
			words = append(words, text)
		}
		if r.AnyPort {
			words = append(words, "any port")
		}
		for _, port := range r.Ports {
			words = append(words, fmt.Sprintf("%s%s%d-%d", port.Protocol, port.Name, port.First, port.Last))
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return strings.Join(lines, "\n")
}

// TestNamedPorts shows which number a name has, before and after the cache has trimmed the Pod.
func TestNamedPorts(t *testing.T) {
	port := func(name string, number int32, protocol corev1.Protocol) corev1.ContainerPort {
		return corev1.ContainerPort{Name: name, ContainerPort: number, Protocol: protocol}
	}
	container := func(ports ...corev1.ContainerPort) corev1.Container {
		return corev1.Container{Name: "c", Image: "x", Ports: ports}
	}
	always := corev1.ContainerRestartPolicyAlways
	sidecar := container(port("admin", 9, ""), port("http", 10, ""))
	sidecar.RestartPolicy = &always
	obj := &corev1.Pod{Spec: corev1.PodSpec{
		NodeName:       "n1",
		InitContainers: []corev1.Container{container(port("setup", 7, "")), sidecar},
		Containers: []corev1.Container{
			container(port("http", 8080, corev1.ProtocolTCP), port("http", 53, corev1.ProtocolUDP), port("", 1, "")), container(port("http", 81, "")), container(),
		},
	}}
	obj.Labels = map[string]string{"app": "web"}
	const want = "app=web,port/tcp/admin=9,port/tcp/http=8080,port/udp/http=53"
	if got := feed.Pod(obj).Labels.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	trimmed, err := feed.Trim(obj)
	if err != nil {
		t.Fatal(err)
	}
	if got := feed.Pod(trimmed.(*corev1.Pod)).Labels.String(); got != want {
		t.Errorf("trimmed: got %s, want %s", got, want)
	}
	if slices.ContainsFunc(obj.Spec.Containers, func(c corev1.Container) bool { return c.Image != "" }) || len(obj.Spec.Containers) != 2 {
		t.Errorf("the cache keeps %+v", obj.Spec.Containers)
	}
}
