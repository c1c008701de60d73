package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"path"
	"strings"
	"testing"
)

func valid(command string) *Request {
	return &Request{
		Version: Version, Command: command, Network: "heddle", ContainerID: "c1", NetNS: "/run/netns/pod", IfName: "eth0",
		PodName: "web-0", PodNamespace: "default", PodUID: "8d4f2b0e-0000-4000-8000-000000000001",
	}
}

func TestValidRequests(t *testing.T) {
	for _, command := range []string{Add, Del, Check, GC, Status} {
		if err := valid(command).Validate(); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	for name, r := range map[string]*Request{
		"DEL without a namespace": {Version: Version, Command: Del, ContainerID: "c1", IfName: "eth0"},
		"STATUS":                  {Version: Version, Command: Status},
	} {
		if err := r.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInvalidRequests has what the plugin never sends: the daemon does not rely on the plugin.
func TestInvalidRequests(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Request)
		code   uint
		want   string
	}{
		{"version", func(r *Request) { r.Version = 2 }, 1, "the request has protocol version 2, this daemon speaks 1"},
		{"command", func(r *Request) { r.Command = "add" }, 4, `unknown command "add"`},
		{"negative timeout", func(r *Request) { r.TimeoutMillis = -1 }, 7, "timeout -1 ms is not between 1 ms and 600000 ms"},
		{"timeout that overflows", func(r *Request) { r.TimeoutMillis = 1 << 62 }, 7, "timeout 4611686018427387904 ms is not between 1 ms and 600000 ms"},
		{"container", func(r *Request) { r.ContainerID = "-rf" }, 4, `container id "-rf" is not made of letters, digits, '_', '.' and '-', beginning with a letter or digit`},
		{"interface", func(r *Request) { r.IfName = ".." }, 4, `".." cannot be the name of a network interface`},
		{"interface with a zero octet", func(r *Request) { r.IfName = "eth\x00" }, 4, `"eth\x00" cannot be the name of a network interface`},
		{"namespace", func(r *Request) { r.NetNS = "" }, 4, `netns "" is not an absolute path`},
		{"label", func(r *Request) { r.PodName = "web-." }, 4, `K8S_POD_NAME "web-." in CNI_ARGS is not the name of a Pod`},
		{"no network", func(r *Request) { r.Command, r.Network = GC, "" }, 7, "missing network name"},
		{"attachment", func(r *Request) { r.Command, r.Valid = GC, []Attachment{{"c1", ""}} }, 4, `"" cannot be the name of a network interface`},
		{"route", func(r *Request) {
			r.Routes = []Route{{Dst: netip.MustParsePrefix("10.0.0.0/8"), GW: netip.IPv4Unspecified()}}
		}, 7, "route 10.0.0.0/8: 0.0.0.0 cannot be a gateway"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := valid(Add)
			c.change(r)
			e := new(Error)
			if err := r.Validate(); !errors.As(err, &e) || e.Code != c.code || e.Msg != c.want {
				t.Errorf("\n got %v\nwant %d: %s", err, c.code, c.want)
			}
		})
	}
}

// FuzzRequest feeds the daemon's way in: whatever Validate lets through must be harmless as a name, a path and a route.
func FuzzRequest(f *testing.F) {
	for _, command := range []string{Add, Del, Check, GC, Status} {
		r := valid(command)
		r.Routes = []Route{{Dst: netip.MustParsePrefix("10.96.0.0/12"), GW: netip.MustParseAddr("10.16.0.1")}}
		r.Valid = []Attachment{{"c1", "eth0"}}
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"version":1,"command":"ADD","routes":[{"dst":"::ffff:1.2.3.4/96"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Request
		if Read(bytes.NewReader(b), &r) != nil || r.Validate() != nil {
			return
		}
		harmless(t, &r)
		again := new(bytes.Buffer)
		if err := Write(again, &r); err != nil {
			t.Fatalf("a valid request cannot be written: %v", err)
		}
		var back Request
		if err := Read(again, &back); err != nil {
			t.Fatalf("a valid request cannot be read back: %v", err)
		}
		if err := back.Validate(); err != nil {
			t.Fatalf("a valid request is not valid when read back: %v", err)
		}
	})
}

func harmless(t *testing.T, r *Request) {
	if d := r.Timeout(); d <= 0 || d > MaxTimeout {
		t.Fatalf("timeout %s", d)
	}
	if r.Command == Status || r.Command == GC {
		return
	}
	if r.IfName != path.Base(r.IfName) || len(r.IfName) > 15 || strings.ContainsAny(r.ContainerID, "/ \x00") {
		t.Fatalf("interface %q of container %q", r.IfName, r.ContainerID)
	}
	if r.NetNS != "" && !path.IsAbs(r.NetNS) || r.NetNS == "" && r.Command != Del {
		t.Fatalf("namespace %q", r.NetNS)
	}
	if r.Command == Del {
		return
	}
	for _, route := range r.Routes {
		if !route.Dst.IsValid() || route.Dst.Masked() != route.Dst || route.GW.IsValid() && route.GW.Is4() != route.Dst.Addr().Is4() {
			t.Fatalf("route %+v", route)
		}
	}
}
