package nb_test

import (
	"testing"

	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// TestLastParentStays shows that a row in two parents keeps the last of them, whether they are to go together or one by one.
func TestLastParentStays(t *testing.T) {
	shared := acl("a", "g1", "ip", 5)
	shared.In = append(shared.In, nb.Edge{Parent: nb.Ref{Table: db.PortGroupTable, ID: "g2"}, Column: "acls"})
	policy := want(owner("policy", "p"), shared)
	one, two := want(owner("group", "1")), want(owner("group", "2"))
	for _, batches := range [][][]nb.Want{{{one, two}}, {{two, one}}, {{one}, {two}}} {
		server := ovstest.StartServer(t, ovstest.NorthboundSchema)
		conn := dial(t, server)
		apply(t, conn, want(owner("group", "1"), group("g1")), want(owner("group", "2"), group("g2")), policy)
		var blocked []nb.Blocked
		for _, batch := range batches {
			blocked = append(blocked, apply(t, conn, batch...).Blocked...)
		}
		if len(blocked) != 1 || blocked[0].Reason != nb.ReasonNotEmpty {
			t.Errorf("blocked: %+v", blocked)
		}
		if server.Nbctl("--bare", "--columns=match", "list", "ACL") == "" {
			t.Error("the row has vanished with its parents")
		}
		apply(t, conn, want(policy.Owner), one, two)
		if owners := conn.Owners(); len(owners) > 0 {
			t.Errorf("%v have rows at the end", owners)
		}
	}
}
