package nb_test

import (
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
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

// TestFence wants nb_cfg to rise with the loss of an endpoint whose flows OVN cuts, and with a new member of a row that asks for that, and
// with nothing else.
func TestFence(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	server.Nbctl("init")
	conn := dial(t, server)
	switches := want(owner("subnet", "a"), ls("a"))
	balancer := func(name, cut string, vips map[string]string) nb.Want {
		return want(owner("service", name), nb.Row{
			ID: name, Model: &db.LoadBalancer{Name: name, Vips: vips, Options: map[string]string{"ct_flush": cut}},
			In: []nb.Edge{{Parent: nb.Ref{Table: db.LogicalSwitchTable, ID: "a"}, Column: "load_balancer"}},
		})
	}
	fenced := func(members ...string) nb.Want {
		return want(owner("domain", "a"), nb.Row{ID: "a", Model: &db.AddressSet{Name: "a"}, Members: nb.SetOf(members...), Fence: true})
	}
	for _, step := range []struct {
		name  string
		wants []nb.Want
		cfg   string
	}{
		{"new", []nb.Want{switches, balancer("udp", "true", map[string]string{"v:1": "a:1,b:1"}), balancer("tcp", "false", map[string]string{"v:1": "a:1,b:1"})}, "0"},
		{"one more", []nb.Want{balancer("udp", "true", map[string]string{"v:1": "a:1,b:1,c:1"})}, "0"},
		{"another order", []nb.Want{balancer("udp", "true", map[string]string{"v:1": "c:1,b:1,a:1"})}, "0"},
		{"one less", []nb.Want{balancer("udp", "true", map[string]string{"v:1": "c:1,b:1"})}, "1"},
		{"one less of TCP", []nb.Want{balancer("tcp", "false", map[string]string{"v:1": "a:1"})}, "1"},
		{"replaced, and another gone", []nb.Want{balancer("udp", "true", map[string]string{"v:1": "d:1", "w:1": ""}), want(owner("service", "tcp"))}, "2"},
		{"a VIP without endpoints goes", []nb.Want{balancer("udp", "true", map[string]string{"v:1": "d:1"})}, "2"},
		{"gone", []nb.Want{want(owner("service", "udp"))}, "3"},
		{"a set without members", []nb.Want{fenced()}, "3"},
		{"a member", []nb.Want{fenced("10.0.0.1", "10.0.0.2")}, "4"},
		{"a member less", []nb.Want{fenced("10.0.0.1")}, "4"},
		{"another set, with a member", []nb.Want{want(owner("domain", "b"), nb.Row{ID: "b", Model: &db.AddressSet{Name: "b"}, Members: nb.SetOf("10.0.0.3"), Fence: true})}, "5"},
	} {
		apply(t, conn, step.wants...)
		if got := strings.TrimSpace(server.Nbctl("get", "NB_Global", ".", "nb_cfg")); got != step.cfg {
			t.Errorf("%s: nb_cfg is %s, want %s", step.name, got, step.cfg)
		}
	}
}
