package packets

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

// TestMirror counts the packets of a Pod at the mirror of its node: both directions, each one once, in both families, from when it asks for
// it until it does not; those of other Pods never.
func TestMirror(t *testing.T) {
	node.UsePrograms(t, "../../dist/root")
	r := newRig(t)
	a, b, c := r.pod("a", 10), r.pod("b", 11), r.pod("c", 12)
	r.mirror()
	ask := func(on string) {
		t.Helper()
		r.put("kind: Pod\nmetadata: {namespace: default, name: a, uid: a, labels: {app: a}, annotations: {ovn.kubernetes.io/mirror: '" + on + "'}}\nspec: {nodeName: n1, containers: []}\n")
		r.apply()
	}
	r.apply()
	r.ping(a, b)
	r.copies("before", 0)
	ask("true")
	r.ping(a, b)
	r.copies("5 questions and their answers, in two families", 20)
	r.ping(b, a)
	r.copies("the other way", 40)
	r.ping(b, c)
	r.copies("others'", 40)
	ask("false")
	r.AppCtl("revalidator/purge") // as the daemon does
	r.ping(a, b)
	r.copies("after", 40)
	if left := r.NBCtl("list", "Mirror") + r.VSCtl("list", "Mirror"); strings.TrimSpace(left) != "" {
		t.Errorf("left over: %s", left)
	}
}

// TestMirrorAll: every Pod is copied where the controller is told so, none asked for it.
func TestMirrorAll(t *testing.T) {
	node.UsePrograms(t, "../../dist/root")
	r := newRigOf(t, state.Config{DefaultVpc: "ovn-cluster", DefaultSubnet: "ovn-default", JoinSubnet: "join", MirrorAll: true})
	a, b := r.pod("a", 10), r.pod("b", 11)
	r.mirror()
	r.apply()
	r.ping(a, b)
	r.copies("5 questions and their answers, in two families, between two that are copied", 20)
}

// mirror is the node's link for copies, as the daemon makes it, with a counter of ICMP echoes.
func (r *rig) mirror() {
	r.t.Helper()
	r.VSCtl("add-port", "br-int", "mirror0", "--", "set", "Interface", "mirror0", "type=internal", "external_ids:mirror-id=mirror0")
	r.t.Cleanup(func() { r.VSCtl("del-port", "br-int", "mirror0") })
	r.MustExec("", "ip", "link", "set", "mirror0", "up")
	r.MustExec("", "nft", "add table netdev mirrored; add chain netdev mirrored in { type filter hook ingress device mirror0 priority 0; }; "+
		"add counter netdev mirrored echoes; "+
		"add rule netdev mirrored in icmp type { echo-request, echo-reply } counter name echoes; "+
		"add rule netdev mirrored in icmpv6 type { echo-request, echo-reply } counter name echoes")
	r.t.Cleanup(func() { r.MustExec("", "nft", "delete table netdev mirrored") })
}

// ping asks five times in each family.
func (r *rig) ping(from, to *pod) {
	r.t.Helper()
	for _, addr := range to.addrs {
		r.MustExec(from.netns, "ping", "-c", "5", "-i", "0.05", "-W", "10", addr.String())
	}
}

var packetCount = regexp.MustCompile(`packets (\d+)`)

// copies compares how many have come to the mirror so far. The last one may come after the answer that it is of.
func (r *rig) copies(when string, want int) {
	r.t.Helper()
	got := -1
	for began := time.Now(); got < want && time.Since(began) < patience; {
		said := packetCount.FindStringSubmatch(r.MustExec("", "nft", "list counter netdev mirrored echoes"))
		got, _ = strconv.Atoi(said[1])
	}
	if got != want {
		r.t.Errorf("%s: %d copies so far, want %d", when, got, want)
	}
}
