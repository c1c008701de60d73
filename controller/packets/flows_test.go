package packets

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

// allowsOn are policies for the Pod web by kind, in which %s is how ports are named.
var allowsOn = map[string]struct{ policy, number, all, between string }{
	"NetworkPolicy": {
		`kind: NetworkPolicy
metadata: {namespace: default, name: p}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {peer: "yes"}}}], ports: [%s]}]}`,
		"{port: %d}", "{}", "{port: %d, endPort: %d}",
	},
	"AdminNetworkPolicy": {
		`kind: AdminNetworkPolicy
metadata: {name: p}
spec: {priority: 7, subject: {namespaces: {}}, ingress: [{action: Deny, ` + adminPeers + `}, {action: Allow, ` + adminPeers + `}], egress: [{action: Pass, to: [{networks: [10.66.0.0/25]}], ports: [%[1]s]}]}`,
		"{portNumber: {protocol: TCP, port: %d}}", "{portRange: {protocol: TCP, start: 1, end: 65535}}", "{portRange: {protocol: TCP, start: %d, end: %d}}",
	},
	"BaselineAdminNetworkPolicy": {
		`kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec: {subject: {namespaces: {}}, ingress: [{action: Deny, ` + adminPeers + `}], egress: [{action: Allow, to: [{namespaces: {}}], ports: [%[1]s]}]}`,
		"{portNumber: {protocol: TCP, port: %d}}", "{portRange: {protocol: TCP, start: 1, end: 65535}}", "{portRange: {protocol: TCP, start: %d, end: %d}}",
	},
	"ClusterNetworkPolicy": {
		`kind: ClusterNetworkPolicy
metadata: {name: p}
spec: {tier: Admin, priority: 7, subject: {namespaces: {}}, ingress: [{action: Deny, ` + clusterPeers + `}, {action: Pass, ` + clusterPeers + `}], egress: [{action: Accept, to: [{namespaces: {}}], protocols: [%[1]s]}]}`,
		"{tcp: {destinationPort: {number: %d}}}", "{tcp: {destinationPort: {range: {start: 1, end: 65535}}}}", "{tcp: {destinationPort: {range: {start: %d, end: %d}}}}",
	},
}

const (
	adminPeers   = `from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {peer: "yes"}}}}], ports: [%[1]s]`
	clusterPeers = `from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {peer: "yes"}}}}], protocols: [%[1]s]`
)

// TestFlowsAddUp shows of each kind of policies that a rule of n peers and m ports is about n + m flows, not n times m, and that a range
// of ports is a few.
func TestFlowsAddUp(t *testing.T) {
	t.Run("NetworkPolicy", func(t *testing.T) { onEachOVN(t, func(t *testing.T) { flowsAddUp(t, "NetworkPolicy") }) })
	for _, kind := range []string{"AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"} { // which need tiers
		t.Run(kind, func(t *testing.T) {
			node.UsePrograms(t, "../../dist/root")
			flowsAddUp(t, kind)
		})
	}
}

func flowsAddUp(t *testing.T, kind string) {
	r := newRig(t)
	r.pod("web", 11)
	r.apply()
	words := allowsOn[kind]
	rules := strings.Count(words.policy, "%")
	count := func(peers int, ports ...string) int {
		r.peers(peers)
		r.put(fmt.Sprintf(words.policy, strings.Join(ports, ", ")))
		r.apply()
		return r.flows("")
	}
	numbers := func(n int) (ports []string) {
		for i := range n {
			ports = append(ports, fmt.Sprintf(words.number, 1000+17*i))
		}
		return ports
	}
	first := count(10, numbers(10)...)
	// Pods on other nodes cost flows of their own (addresses, neighbours), which a rule without ports shows.
	without := count(10, words.all)
	more := count(40, numbers(40)...)
	moreWithout := count(40, words.all)
	ranges := count(40, fmt.Sprintf(words.between, 1025, 65534), fmt.Sprintf(words.number, 80)) - moreWithout
	grown := (more - moreWithout) - (first - without)
	t.Logf("10 peers and ports: %d flows, without ports %d; 40 peers and ports: %d, without ports %d: %d more; with a range %d more", first, without, more, moreWithout, grown, ranges)
	if grown > rules*4*(30+30) {
		t.Errorf("30 peers and 30 ports more are %d flows more: they multiply", grown)
	}
	if ranges > rules*(2*64+20) {
		t.Errorf("a range of ports is %d flows", ranges)
	}
}

// peers makes Pods of another node, with addresses of both families.
func (r *rig) peers(n int) {
	r.t.Helper()
	for i := range n {
		r.put(fmt.Sprintf("kind: IP\nmetadata: {name: peer-%d.default}\nspec: {subnet: blue, v4IpAddress: 10.66.0.%[2]d, v6IpAddress: \"fd00:10:66::%[2]x\", macAddress: \"0a:58:0a:42:01:%02[2]x\"}\n---\n"+
			"kind: Pod\nmetadata: {namespace: default, name: peer-%[1]d, uid: u, labels: {peer: \"yes\"}}\nspec: {nodeName: n2, containers: []}\n", i, 20+i))
	}
}

// keptCut matches the flows by which a connection that was cut is left to the next tier: those of ACLs of priority 0, to which ovn-northd
// adds 1000, that know ct_mark.blocked.
const keptCut = `priority=1000,.*ct_mark=0x1/0x1`

// TestFlowsOfCutConnections counts what it costs that each tier judges the connections that were cut (keepCut in compile/acl.go): a flow
// for each tier but the last and each isolated Pod of the node, whatever groups it is in, and two for each tier and private Subnet.
func TestFlowsOfCutConnections(t *testing.T) {
	node.UsePrograms(t, "../../dist/root")
	r := newRig(t)
	r.pod("web", 11)
	r.pod("db", 12)
	policy := func(name, app, ports string) {
		r.policy(name, "{podSelector: {matchLabels: {"+app+"}}, ingress: [{from: [{podSelector: {}}], ports: ["+ports+"]}]}")
	}
	count := func(what string) int {
		r.apply()
		n := r.flows(keptCut)
		t.Logf("%s: %d", what, n)
		return n
	}
	if n := count("no policy"); n != 0 {
		t.Errorf("%d without any", n)
	}
	policy("one", "app: web", "{port: 80}")
	one := count("one Pod in one group")
	policy("same", "app: web", "{port: 81}, {port: 82}, {port: 83}")
	same := count("a second policy for the same Pods")
	r.peers(20)
	policy("all", "", "{port: 84}")
	all := count("a second group, of two Pods here and 20 elsewhere")
	r.put("kind: Subnet\nmetadata: {name: blue}\nspec: {cidrBlock: \"10.66.0.0/24,fd00:10:66::/120\", private: true}\n")
	private := count("a private Subnet")
	if one != 3 || same != one || all != 2*one || private != all+2*one {
		t.Errorf("%d for a Pod, %d with one more policy, %d with a group of two Pods more, %d with a private Subnet", one, same, all, private)
	}
}

// flows counts the OpenFlow flows of the node that match.
func (r *rig) flows(match string) (n int) {
	r.t.Helper()
	if match == "" {
		return r.allFlows()
	}
	wanted := regexp.MustCompile(match)
	for line := range strings.Lines(r.MustExec("", "ovs-ofctl", "dump-flows", "unix:"+r.Dir+"/br-int.mgmt")) {
		if wanted.MatchString(line) {
			n++
		}
	}
	return n
}

var flowCount = regexp.MustCompile(`flow_count=(\d+)`)

func (r *rig) allFlows() int {
	r.t.Helper()
	out := r.MustExec("", "ovs-ofctl", "dump-aggregate", "unix:"+r.Dir+"/br-int.mgmt")
	found := flowCount.FindStringSubmatch(out)
	if found == nil {
		r.t.Fatal(out)
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}
