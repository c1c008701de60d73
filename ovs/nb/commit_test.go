package nb_test

import (
	"testing"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// TestOneOfTwoTakesOver lets two leaders take a fresh database over at the same moment: at most one of them may write.
func TestOneOfTwoTakesOver(t *testing.T) {
	for _, initialized := range []bool{true, false} {
		for range 5 {
			server := ovstest.StartServer(t, ovstest.NorthboundSchema)
			if initialized {
				server.Nbctl("init")
			}
			var conns [2]*nb.Conn
			taken := make(chan error, len(conns))
			for i := range conns {
				conns[i] = connect(t, server) // both know a database without an epoch
			}
			for _, c := range conns {
				go func() { taken <- c.Acquire(t.Context()) }()
			}
			if first, second := <-taken, <-taken; first == nil && second == nil && mayWrite(t, conns[0]) && mayWrite(t, conns[1]) {
				t.Fatalf("both lead, initialized: %v", initialized)
			}
		}
	}
}

func connect(t *testing.T, server *ovstest.Server) *nb.Conn {
	t.Helper()
	conn, err := nb.Dial(t.Context(), nb.Config{Endpoints: []string{server.Endpoint}, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func mayWrite(t *testing.T, conn *nb.Conn) bool {
	t.Helper()
	txn := nb.Plan(conn, []nb.Want{want(owner("subnet", "a"), ls("a"))})
	return conn.Commit(t.Context(), txn) == nil
}
