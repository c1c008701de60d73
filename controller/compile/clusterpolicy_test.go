package compile_test

import (
	"strings"
	"testing"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

const denyAll = `
kind: AdminNetworkPolicy
metadata: {name: deny}
spec:
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
---
kind: NetworkPolicy
metadata: {name: deny, namespace: blue}
spec: {podSelector: {}}
`

// TestWithoutTiers shows what a database without ACL.tier (OVN before 23.06) gets: NetworkPolicies as ever, and a reason why there is
// nothing for the policies of the administrator.
func TestWithoutTiers(t *testing.T) {
	for _, tiers := range []bool{false, true} {
		s := fill(parseFlags(t, ""), parseObjects(t, denyAll))
		s.SetServer(state.Server{Templates: true, Tiers: tiers})
		_, outputs := compileAll(s)
		admin := outputs[nb.Owner{Kind: state.KindAdminPolicy, Key: "deny"}]
		refused := len(admin.Rows) == 0 && len(admin.Problems) == 1 && strings.Contains(admin.Problems[0].Text, "OVN 23.06")
		if refused == tiers {
			t.Errorf("tiers: %v, of the administrator's policy come %d rows and %v", tiers, len(admin.Rows), admin.Problems)
		}
		drops := 0
		for _, row := range outputs[nb.Owner{Kind: state.KindGroup, Key: "blue:"}].Rows {
			acl, ok := row.Model.(*db.ACL)
			switch {
			case ok && acl.Tier != 0 && !tiers:
				t.Errorf("a tier without tiers: %+v", acl)
			case ok && acl.Action == db.ACLActionDrop:
				drops++
			}
		}
		if drops != 1 {
			t.Errorf("tiers: %v, the NetworkPolicy drops %d times", tiers, drops)
		}
	}
}
