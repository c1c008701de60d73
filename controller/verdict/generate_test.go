package verdict_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-net/heddle/controller/verdict"
)

var large = verdict.Size{
	Namespaces: 3, Nodes: 3, Pods: 10, NetworkPolicies: 8, AdminNetworkPolicies: 3, ClusterNetworkPolicies: 3, Baseline: true, Rules: 3, Peers: 3, Ports: 3,
	SecurityGroups: 4, Subnets: true,
}

func generate(seed uint64) *verdict.Cluster {
	return verdict.Generate(rand.New(rand.NewPCG(seed, 0)), large)
}

func format(t *testing.T, c *verdict.Cluster) []byte {
	t.Helper()
	text, err := c.Format("case", "A comment.")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestCaseIsKept shows that a seed gives one cluster, and that the text of a cluster is the whole of it.
func TestCaseIsKept(t *testing.T) {
	for seed := range uint64(15) {
		c := generate(seed)
		text := format(t, c)
		if again := format(t, generate(seed)); !bytes.Equal(text, again) {
			t.Fatalf("seed %d gives another cluster each time", seed)
		}
		archive := txtar.Parse(text)
		if archive.Files[0].Name != "case.yaml" || !strings.Contains(string(archive.Comment), "A comment.") {
			t.Fatalf("no case: %s", text)
		}
		read, err := verdict.Parse(string(archive.Files[0].Data))
		if err != nil {
			t.Fatal(err)
		}
		if again := format(t, read); !bytes.Equal(text, again) {
			t.Fatalf("seed %d: read\n%s\nwant\n%s", seed, again, text)
		}
		for _, p := range someOf(packets(c)) {
			was, why := c.Allowed(p)
			if is, reason := read.Allowed(p); is != was {
				t.Fatalf("seed %d: %s: %t, %s; was %t, %s", seed, p, is, reason, was, why)
			}
		}
	}
}

// packets are all that the ends of a cluster can send each other on the ports that policies name.
func packets(c *verdict.Cluster) []verdict.Packet {
	ends := c.Peers()
	for _, addr := range verdict.Outside() {
		ends = append(ends, verdict.Peer{Addr: addr})
	}
	return verdict.NewTable(ends, ends, verdict.Probes()).Packets()
}

// someOf are enough of them.
func someOf(packets []verdict.Packet) []verdict.Packet {
	var list []verdict.Packet
	for i := 0; i < len(packets); i += 11 {
		list = append(list, packets[i])
	}
	return list
}

// TestGeneratedClustersSayEnough shows that random clusters are not all open or all closed, that each kind decides, each way,
// and that named ports, ranges with excepts and every operator occur.
func TestGeneratedClustersSayEnough(t *testing.T) {
	decided := make(map[string]int)
	total, allowed := 0, 0
	var text strings.Builder
	for seed := range uint64(60) {
		c := generate(seed)
		if err := c.Check(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		text.Write(format(t, c))
		for _, p := range someOf(packets(c)) {
			ok, reason := c.Allowed(p)
			if reason.Ends != "" {
				continue
			}
			total++
			if ok {
				allowed++
			}
			for _, d := range []verdict.Decision{reason.Egress, reason.Ingress} {
				kind, _, _ := strings.Cut(d.Policy, " ")
				decided[fmt.Sprint(kind, " ", d.Allowed)]++
			}
		}
	}
	t.Logf("%d of %d allowed; %v", allowed, total, decided)
	if share := float64(allowed) / float64(total); share < 0.3 || share > 0.9 {
		t.Errorf("%d of %d are allowed", allowed, total)
	}
	if decided["Subnet false"] < 15 {
		t.Errorf("private Subnets: %d decisions", decided["Subnet false"])
	}
	for _, kind := range []string{"NetworkPolicy", "AdminNetworkPolicy", "ClusterNetworkPolicy", "BaselineAdminNetworkPolicy", "SecurityGroup"} {
		for _, way := range []string{" true", " false"} {
			if decided[kind+way] < 15 {
				t.Errorf("%s: %d decisions", kind+way, decided[kind+way])
			}
		}
	}
	for _, word := range []string{
		"operator: In\n", "operator: NotIn\n", "operator: Exists\n", "operator: DoesNotExist\n", "except:", "endPort:", "port: web", "namedPort:", "destinationNamedPort:",
		"hostNetwork: true", "phase: Succeeded", "podSelector: {}", "- {}", "tier: Baseline", "nodes:", "networks:", "protocol: SCTP", "action: Pass",
		"port: rare", "name: rare", "tcp: {}", "private: true", "allowSubnets:", "allowSameGroupTraffic: true", "remoteSecurityGroup: missing", "localAddress:", "sourcePortRangeMin:", "policy: pass",
	} {
		if strings.Count(text.String(), word) < 5 {
			t.Errorf("%q hardly occurs", word)
		}
	}
}

// TestChange shows that a seed gives one next cluster, which is a little other than the one before, and as sound.
func TestChange(t *testing.T) {
	differ, sizes := 0, make(map[string]bool)
	for seed := range uint64(30) {
		c := generate(seed)
		before := format(t, c)
		next := verdict.Change(rand.New(rand.NewPCG(seed, 1)), large, c)
		again := verdict.Change(rand.New(rand.NewPCG(seed, 1)), large, c)
		switch text := format(t, next); {
		case !bytes.Equal(before, format(t, c)):
			t.Fatalf("seed %d: the cluster itself was changed", seed)
		case !bytes.Equal(text, format(t, again)):
			t.Fatalf("seed %d gives another change each time", seed)
		case next.Check() != nil:
			t.Fatalf("seed %d: %v", seed, next.Check())
		case !bytes.Equal(before, text):
			differ++
		}
		names := make(map[string]bool)
		for _, pod := range next.Pods {
			names[pod.Namespace+"/"+pod.Name] = true
		}
		if len(names) != len(next.Pods) {
			t.Errorf("seed %d: two Pods have one name", seed)
		}
		sizes[fmt.Sprintf("%+d Pods", len(next.Pods)-len(c.Pods))] = true
		sizes[fmt.Sprintf("%+d policies", len(next.NetworkPolicies)-len(c.NetworkPolicies))] = true
	}
	if differ < 24 || len(sizes) < 5 {
		t.Errorf("%d of 30 changes make a difference: %v", differ, sizes)
	}
}

// TestShrink shows that what does not matter goes, and what does stays.
func TestShrink(t *testing.T) {
	for seed := range uint64(8) {
		c := generate(seed)
		before := format(t, c)
		packet, found := deniedByNetworkPolicy(c)
		if !found {
			continue
		}
		asked := 0
		small := verdict.Shrink(c, 3000, func(c *verdict.Cluster) bool {
			asked++
			ok, reason := c.Allowed(packet)
			return !ok && reason.Ingress.Policy != "" && strings.HasPrefix(reason.Ingress.Policy, "NetworkPolicy")
		})
		if !bytes.Equal(before, format(t, c)) {
			t.Fatalf("seed %d: the cluster itself was changed", seed)
		}
		if left := string(format(t, small)); len(small.Pods) > 2 || strings.Count(left, "kind: ") > 4 || strings.Count(left, "NetworkPolicy\n") != 1 ||
			strings.Contains(left, "from:") || strings.Contains(left, "match") {
			t.Errorf("seed %d, after %d questions: %s", seed, asked, left)
		}
		if few := verdict.Shrink(c, 3, func(*verdict.Cluster) bool { asked = -1000; return false }); few != c {
			t.Errorf("seed %d: nothing persists, and something went", seed)
		}
	}
}

func deniedByNetworkPolicy(c *verdict.Cluster) (verdict.Packet, bool) {
	for _, p := range packets(c) {
		if ok, reason := c.Allowed(p); !ok && strings.HasPrefix(reason.Ingress.Policy, "NetworkPolicy") && !reason.Ingress.Allowed {
			return p, true
		}
	}
	return verdict.Packet{}, false
}

func TestTable(t *testing.T) {
	c := parse(t, `apiVersion: v1
kind: Namespace
metadata: {name: a}
---
apiVersion: v1
kind: Pod
metadata: {namespace: a, name: web}
spec: {nodeName: n1, containers: []}
status: {podIPs: [{ip: 10.0.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {namespace: a, name: db}
spec: {nodeName: n1, containers: []}
status: {podIPs: [{ip: 10.0.0.2}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: a, name: web}
spec: {podSelector: {}, policyTypes: [Egress]}
`)
	probes := []verdict.Probe{{Family: corev1.IPv4Protocol, Protocol: corev1.ProtocolTCP, Port: 80}}
	should := c.Table(c.Peers(), c.Peers(), probes)
	is := verdict.NewTable(c.Peers(), c.Peers(), probes)
	for i, p := range is.Packets() {
		is.Set(p, i > 0)
		if i == 2 {
			break
		}
	}
	const wantText = ` 1 = a/db
 2 = a/web

IPv4 TCP/80      1  2
a/db             +  ·
a/web            ·  +
`
	if got := should.String(); got != wantText {
		t.Errorf("got\n%swant\n%s", got, wantText)
	}
	if got := is.String(); !strings.HasSuffix(got, "a/db             ·  +\na/web            +  ?\n") {
		t.Errorf("got\n%s", got)
	}
	want := "a/db → a/db IPv4 TCP/80: denied, not allowed\na/db → a/web IPv4 TCP/80: allowed, not denied\na/web → a/db IPv4 TCP/80: allowed, not denied\n"
	if got := is.Diff(should); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := should.Diff(should); got != "" {
		t.Errorf("a table differs from itself: %s", got)
	}
}

func BenchmarkAllowed(b *testing.B) {
	c := generate(1)
	all := packets(c)
	for i := 0; b.Loop(); i++ {
		c.Allowed(all[i%len(all)])
	}
}
