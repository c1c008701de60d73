package vswitch

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newSchema is that of the image's Open vSwitch, whose mirrors have filters.
const newSchema = "../../dist/root/usr/share/openvswitch/vswitch.ovsschema"

// mirrorText is all of the table, without UUIDs.
func mirrorText(t *testing.T, c *Client) map[string]string {
	t.Helper()
	rows, err := find(t.Context(), c, func(*mirrorRow) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range rows {
		text := m.ExternalIDs[KeyVendor] + m.ExternalIDs[keyFilter]
		if m.Output != nil {
			text += " to " + portName(t, c, *m.Output)
		}
		for _, from := range m.From {
			text += " from " + portName(t, c, from)
		}
		out[m.Name] = text
	}
	return out
}

func portName(t *testing.T, c *Client, id string) string {
	t.Helper()
	rows, err := find(t.Context(), c, func(p *portRow) bool { return p.UUID == id })
	if err != nil || len(rows) == 0 {
		t.Fatalf("port %s: %v", id, err)
	}
	return rows[0].Name
}

// TestSetMirrors: ours come and go, ovn-controller's get their filters and keep what else they have, those of others stay; nothing is
// written when all is so.
func TestSetMirrors(t *testing.T) {
	if _, err := os.Stat(newSchema); err != nil {
		t.Skipf("make dist/root: %v", err)
	}
	s, c, sent := counted(t, newSchema)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err == nil {
			err = c.Sync(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"tunnel", "tap", "tap2", "web"} {
		must(c.AddPort(ctx, Port{Bridge: "br-int", Name: name}))
	}
	web, err := c.portID(ctx, "web")
	must(err)
	s.Transact(`["Open_vSwitch",
		{"op": "insert", "table": "Mirror", "uuid-name": "a", "row": {"name": "tm-web", "select_src_port": ["uuid", "` + web + `"], "external_ids": ["map", [["ovn-owned", "true"]]]}},
		{"op": "insert", "table": "Mirror", "uuid-name": "b", "row": {"name": "tm-web/far", "external_ids": ["map", [["ovn-owned", "true"]]]}},
		{"op": "insert", "table": "Mirror", "uuid-name": "c", "row": {"name": "theirs"}},
		{"op": "mutate", "table": "Bridge", "where": [["name", "==", "br-int"]],
		 "mutations": [["mirrors", "insert", ["set", [["named-uuid", "a"], ["named-uuid", "b"], ["named-uuid", "c"]]]]]}]`)
	must(nil)
	filters := map[string]string{"tm-web": "icmp6", "theirs": "tcp", "tm-none": "udp"}
	set := func(ours []Mirror, filters map[string]string, want map[string]string) {
		t.Helper()
		unmirrored, done := c.SubscribeUnmirrored()
		defer done()
		before := mirrorText(t, c)
		must(c.SetMirrors(ctx, "br-int", ours, filters))
		if diff := cmp.Diff(want, mirrorText(t, c)); diff != "" {
			t.Error(diff)
		}
		var less, lost []string
		if before["tm-web"] != want["tm-web"] {
			less = append(less, "web")
		}
		if before["m"] != "" && before["m"] != want["m"] {
			less = append(less, "tunnel")
		}
		if len(less) > 0 {
			select {
			case <-unmirrored:
			case <-time.After(5 * time.Second):
				t.Error("not told that less is copied")
			}
		}
		for _, id := range c.TakeUnmirrored() {
			lost = append(lost, portName(t, c, id))
		}
		slices.Sort(lost)
		slices.Sort(less)
		if !slices.Equal(lost, less) || len(unmirrored) > 0 {
			t.Errorf("less is copied of %q, want %q; told once more: %t", lost, less, len(unmirrored) > 0)
		}
		was := sent.Load()
		must(c.SetMirrors(ctx, "br-int", ours, filters))
		if again := sent.Load() - was; again != 0 {
			t.Errorf("%d transactions, though all is so", again)
		}
	}
	base := map[string]string{"tm-web": "icmp6 from web", "tm-web/far": "", "theirs": ""}
	with := func(m string) map[string]string {
		out := map[string]string{"m": m}
		for k, v := range base {
			out[k] = v
		}
		return out
	}
	set(nil, filters, base)
	if got, want := strings.TrimSpace(s.Transact(`["Open_vSwitch", {"op": "select", "table": "Mirror", "where": [["name", "==", "tm-web"]], "columns": ["filter"]}]`)),
		`[{"rows":[{"filter":"icmp6"}]}]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	set([]Mirror{{Name: "m", From: "tunnel", To: "tap"}}, filters, with("heddle to tap from tunnel"))
	set([]Mirror{{Name: "m", From: "tunnel", To: "tap2"}}, filters, with("heddle to tap2 from tunnel"))
	base["tm-web"] = " from web"
	set(nil, nil, base)
}
