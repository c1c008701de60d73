package nb_test

import (
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// TestSilentServerIsFound shows that a server which hangs is found out although nobody asks it for anything.
func TestSilentServerIsFound(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.NorthboundSchema)
	conn, err := nb.Dial(t.Context(), nb.Config{Endpoints: []string{server.Endpoint}, Log: logr.Discard(), Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- conn.Run(t.Context()) }()
	server.Freeze()
	defer server.Thaw()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the connection ended without an error")
		}
	case <-time.After(30 * time.Second):
		t.Error("nobody noticed")
	}
}
