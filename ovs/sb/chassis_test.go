package sb_test

import (
	"strings"
	"testing"

	"github.com/heddle-net/heddle/ovs/ovstest"
	"github.com/heddle-net/heddle/ovs/sb"
)

func TestRemoveChassis(t *testing.T) {
	server := ovstest.StartServer(t, ovstest.SouthboundSchema)
	insert := `{"op":"insert","table":"Encap","uuid-name":"e%","row":{"type":"geneve","ip":"192.0.2.%","chassis_name":"c%"}},` +
		`{"op":"insert","table":"Chassis","row":{"name":"c%","hostname":"n%","encaps":["named-uuid","e%"]}},` +
		`{"op":"insert","table":"Chassis_Private","row":{"name":"c%"}}`
	server.Transact(`["OVN_Southbound",` + strings.ReplaceAll(insert, "%", "1") + `,` + strings.ReplaceAll(insert, "%", "2") + `]`)
	cfg := sb.Config{Endpoints: []string{server.Endpoint}}
	for range 2 { // the second time there is nothing to do
		if err := sb.RemoveChassis(t.Context(), cfg, "n1"); err != nil {
			t.Fatal(err)
		}
	}
	left := server.Transact(`["OVN_Southbound",{"op":"select","table":"Chassis","where":[],"columns":["name"]},` +
		`{"op":"select","table":"Chassis_Private","where":[],"columns":["name"]},{"op":"select","table":"Encap","where":[],"columns":["chassis_name"]}]`)
	if want := `[{"rows":[{"name":"c2"}]},{"rows":[{"name":"c2"}]},{"rows":[{"chassis_name":"c2"}]}]`; strings.TrimSpace(left) != want {
		t.Errorf("left are %s, want %s", left, want)
	}
}
