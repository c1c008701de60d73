package compile_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-net/heddle/controller/verdict"
)

// TestOracleSeesDisagreements puts a rule into OVN that no policy asks for, and asks for a policy that OVN has no rule of:
// both are found and made small. With both, OVN and the API agree.
func TestOracleSeesDisagreements(t *testing.T) {
	o := &oracle{network: newNetwork(t), enforce: func(*verdict.Cluster) []object { return nil }}
	r := rand.New(rand.NewPCG(7, 0))
	c := verdict.Generate(r, verdict.Size{Namespaces: 2, Nodes: 2, Pods: 4})
	plain, err := c.Format("case", "")
	if err != nil {
		t.Fatal(err)
	}
	peers := c.Peers()
	target := peers[slices.IndexFunc(peers, func(p verdict.Peer) bool { return p.Pod != "" })].Pod
	namespace, name, _ := strings.Cut(target, "/")
	policy := "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: " + namespace + ", name: toy}\n" +
		"spec:\n  podSelector: {matchLabels: {toy: " + name + "}}\n  ingress: [{from: [{ipBlock: {cidr: 100.64.0.0/16}}, {ipBlock: {cidr: \"fd00:100:64::/112\"}}]}]\n"
	_, objects, _ := strings.Cut(string(plain), "case.yaml --\n")
	isolated, err := verdict.Parse(objects + policy)
	if err != nil {
		t.Fatal(err)
	}
	for _, cluster := range []*verdict.Cluster{c, isolated} {
		for _, pod := range cluster.Pods {
			if pod.Namespace == namespace && pod.Name == name {
				pod.Labels = map[string]string{"toy": name}
			}
		}
	}
	toy := func() {
		port := portOf(target)
		h, ok := o.hosts[port]
		if !ok {
			return // taken away to make the case small
		}
		acl := func(priority, match, action string) {
			o.ovn.NB.Nbctl("--may-exist", "acl-add", h.subnet.name, "to-lport", priority, `outport == "`+port+`" && `+match, action)
		}
		acl("1001", "(ip4.src == 100.64.0.0/16 || ip6.src == fd00:100:64::/112)", "allow-related")
		acl("1000", "ip", "drop")
	}
	for _, w := range []struct {
		name   string
		c      *verdict.Cluster
		rules  func()
		says   string
		absent string
	}{
		{"nothing", c, nil, "", ""},
		{"a policy without rules", isolated, nil, "OVN says true, the API false", ""},
		{"rules without a policy", c, toy, "OVN says false, the API true", "NetworkPolicy"},
		{"both", isolated, toy, "", ""},
	} {
		o.by = w.rules
		found, small := o.first(r, w.c)
		if (found != "") != (w.says != "") || !strings.Contains(found, w.says) {
			t.Errorf("%s: %s", w.name, found)
		}
		if found == "" {
			continue
		}
		if pods := strings.Count(small, "kind: Pod\n"); pods == 0 || pods > 2 || !strings.Contains(small, w.says) || (w.absent != "" && strings.Contains(small, "kind: "+w.absent)) {
			t.Errorf("%s: this is not small:\n%s", w.name, small)
		}
	}
}

// first is the first disagreement about a cluster, and the small case of it.
func (o *oracle) first(r *rand.Rand, c *verdict.Cluster) (found, small string) {
	o.t.Helper()
	o.become(c)
	for _, p := range packetsOf(r, c) {
		if d := o.compare(c, p); d != "" {
			return d, o.smallest(c, p)
		}
	}
	return "", ""
}
