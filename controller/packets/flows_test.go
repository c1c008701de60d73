package packets

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestFlowsAddUp shows that a rule of n peers and m ports is about n + m flows, not n times m, and that a range of ports is a few.
func TestFlowsAddUp(t *testing.T) {
	r := newRig(t)
	r.pod("web", 11)
	r.apply()
	count := func(peers int, ports ...string) int {
		for i := range peers {
			r.put(fmt.Sprintf("kind: IP\nmetadata: {name: peer-%d.default}\nspec: {subnet: blue, v4IpAddress: 10.66.0.%[2]d, v6IpAddress: \"fd00:10:66::%[2]x\", macAddress: \"0a:58:0a:42:01:%02[2]x\"}\n---\n"+
				"kind: Pod\nmetadata: {namespace: default, name: peer-%[1]d, uid: u, labels: {peer: \"yes\"}}\nspec: {nodeName: n2, containers: []}\n", i, 20+i))
		}
		r.policy("p", "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {peer: \"yes\"}}}], ports: ["+strings.Join(ports, ", ")+"]}]}")
		r.apply()
		return r.flows()
	}
	numbers := func(n int) (ports []string) {
		for i := range n {
			ports = append(ports, fmt.Sprintf("{port: %d}", 1000+17*i))
		}
		return ports
	}
	first := count(10, numbers(10)...)
	// Pods on other nodes cost flows of their own (addresses, neighbours), which a rule without ports shows.
	without := count(10, "{}")
	more := count(40, numbers(40)...)
	moreWithout := count(40, "{}")
	t.Logf("10 peers and ports: %d flows, without ports %d; 40 peers and ports: %d, without ports %d", first, without, more, moreWithout)
	if grown := (more - moreWithout) - (first - without); grown > 10*(30+30) {
		t.Errorf("30 peers and 30 ports more are %d flows more: they multiply", grown)
	}
	if ranges := count(40, "{port: 1025, endPort: 65534}", "{port: 80}") - moreWithout; ranges > 4*64+100 {
		t.Errorf("a range of ports is %d flows", ranges)
	}
}

var flowCount = regexp.MustCompile(`flow_count=(\d+)`)

// flows counts the OpenFlow flows of the node.
func (r *rig) flows() int {
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
