package verdict_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-net/heddle/controller/verdict"
)

// TestVerdicts asks what the files of testdata know, each derived by hand from the API's documentation. A line is
// "allowed|denied FROM TO [IPv6] PROTOCOL[/PORT] [| part of the reason]", an end namespace/pod, node:name or an address.
func TestVerdicts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	base, err := os.ReadFile("testdata/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	verdicts := 0
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			text := string(base)
			for _, f := range archive.Files {
				if f.Name == "policies.yaml" {
					text += "---\n" + string(f.Data)
				}
			}
			c := parse(t, text)
			for line := range strings.Lines(string(archive.Files[len(archive.Files)-1].Data)) {
				expect(t, c, strings.TrimSpace(line))
				verdicts++
			}
		})
	}
	if verdicts < 100 {
		t.Errorf("only %d verdicts", verdicts)
	}
}

func parse(t *testing.T, text string) *verdict.Cluster {
	t.Helper()
	c, err := verdict.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func expect(t *testing.T, c *verdict.Cluster, line string) {
	t.Helper()
	question, why, _ := strings.Cut(line, " | ")
	words := strings.Fields(question)
	packet := verdict.Packet{From: peer(words[1]), To: peer(words[2]), Family: corev1.IPv4Protocol}
	if words[3] == "IPv6" {
		packet.Family = corev1.IPv6Protocol
	}
	protocol, port, _ := strings.Cut(words[len(words)-1], "/")
	packet.Protocol = corev1.Protocol(protocol)
	number, _ := strconv.Atoi(port)
	packet.Port = int32(number)
	allowed, reason := c.Allowed(packet)
	if got := map[bool]string{true: "allowed", false: "denied"}[allowed]; got != words[0] || !strings.Contains(reason.String(), why) {
		t.Errorf("%s\n got %s: %s", line, got, reason)
	}
}

func peer(word string) verdict.Peer {
	if node, ok := strings.CutPrefix(word, "node:"); ok {
		return verdict.Peer{Node: node}
	}
	if strings.Contains(word, "/") {
		return verdict.Peer{Pod: word}
	}
	return verdict.Peer{Addr: netip.MustParseAddr(word)}
}

// TestNodeByAnotherAddress shows that ranges see the address in the packet, and that the node is still the node.
func TestNodeByAnotherAddress(t *testing.T) {
	base, err := os.ReadFile("testdata/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, string(base)+`---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: default, name: join}
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 100.64.0.2/32}}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: project, name: shown}
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.1/32}}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: other, name: excepted}
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [192.0.2.1/32]}}]}]}
`)
	for _, w := range []struct {
		node, addr, to string
		allowed        bool
	}{
		{"n1", "100.64.0.1", "default/db", true},
		{"n2", "100.64.0.2", "default/db", true},
		{"n2", "100.64.0.3", "default/db", false},
		{"n1", "100.64.0.1", "project/worker", true},
		{"n1", "100.64.0.1", "other/web", false},
	} {
		from := verdict.Peer{Node: w.node, Addr: netip.MustParseAddr(w.addr)}
		allowed, reason := c.Allowed(verdict.Packet{From: from, To: verdict.Peer{Pod: w.to}, Family: corev1.IPv4Protocol, Protocol: corev1.ProtocolTCP, Port: 1})
		if allowed != w.allowed {
			t.Errorf("%s: %t, %s", from, allowed, reason)
		}
	}
}

// TestCheck shows what Allowed does not judge, and that rules with it fail closed.
func TestCheck(t *testing.T) {
	for name, spec := range map[string]string{
		"domainNames":   `egress: [{action: Allow, to: [{domainNames: [kubernetes.io]}, {namespaces: {}}]}, {action: Deny, to: [{namespaces: {}}]}]`,
		"not a valid":   `egress: [{action: Deny, to: [{namespaces: {matchExpressions: [{key: a, operator: Like}]}}]}]`,
		"ParsePrefix":   `egress: [{action: Deny, to: [{networks: [10.0.0.0]}]}]`,
		"for 'in'":      `ingress: [{action: Deny, from: [{pods: {namespaceSelector: {}, podSelector: {matchExpressions: [{key: a, operator: In}]}}}]}]`,
		"unknown field": `egres: []`,
	} {
		_, err := verdict.Parse("apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: bad}\nspec:\n  priority: 1\n  subject: {namespaces: {}}\n  " + spec)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", spec, err)
		}
	}
}
