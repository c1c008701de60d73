package compile_test

import (
	"fmt"
	"testing"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

const mirrored = `
kind: Pod
metadata: {name: web, namespace: blue, uid: uid-web, annotations: {ovn.kubernetes.io/mirror: "true"}}
spec: {nodeName: n1, containers: []}
---
kind: IP
metadata: {name: web.blue}
spec: {subnet: team-a, v4IpAddress: 10.66.0.7, macAddress: "0a:58:0a:42:00:07"}
---
kind: TrafficMirror
metadata: {name: web}
spec: {podSelector: {}, to: {interface: mirror7}}
`

// TestWithoutMirrors: where OVN's mirrors have no type for what Heddle wants of them (before 23.06), a TrafficMirror has a reason why
// nothing is copied, and Pods have their ports.
func TestWithoutMirrors(t *testing.T) {
	for _, mirrors := range []bool{false, true} {
		s := fill(parseFlags(t, ""), parseObjects(t, mirrored))
		s.SetServer(state.Server{Templates: true, Tiers: true, Mirrors: mirrors})
		_, outputs := compileAll(s)
		mirror, pod := outputs[nb.Owner{Kind: state.KindMirror, Key: "web"}], outputs[nb.Owner{Kind: state.KindPod, Key: "blue/web"}]
		rules := len(pod.Rows[0].Model.(*db.LogicalSwitchPort).MirrorRules)
		got := fmt.Sprintf("%d rows, %d rules, %v", len(mirror.Rows), rules, mirror.Problems)
		want := "0 rows, 0 rules, [{NotSupported nothing is copied: it needs OVN 23.06 or later}]"
		if mirrors {
			want = "2 rows, 4 rules, []"
		}
		if got != want {
			t.Errorf("mirrors: %t: got %s, want %s", mirrors, got, want)
		}
	}
}
