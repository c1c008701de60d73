package service

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the wanted results in testdata")

// fill gives an Index the objects of a text.
func fill(t *testing.T, x *Index, text string) {
	t.Helper()
	for doc := range strings.SplitSeq(text, "---\n") {
		if strings.Contains(doc, "addressType:") {
			var s discoveryv1.EndpointSlice
			parse(t, doc, &s)
			x.PutSlice(s.Namespace+"/"+s.Name, TrimSlice(&s))
			continue
		}
		var s corev1.Service
		parse(t, doc, &s)
		x.PutService(s.Namespace+"/"+s.Name, TrimService(&s))
	}
}

func parse(t *testing.T, doc string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(doc), into); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
}

func newIndex(changed func()) *Index {
	x := NewIndex("n1", changed)
	x.SetInside([]netip.Prefix{netip.MustParsePrefix("10.16.0.0/16"), netip.MustParsePrefix("fd00:10:16::/112")})
	x.SetZone("a")
	return x
}

// TestRows compares what the node n1 does for each world's Services with the golden file.
func TestRows(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("golden files: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			x := newIndex(func() {})
			fill(t, x, string(a.Files[0].Data))
			got, err := yaml.Marshal(map[string]any{"rows": x.Rows(), "checks": x.Checks()})
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				a.Files = append(a.Files[:1], txtar.File{Name: "want", Data: got})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(a.Files[1].Data), string(got)); diff != "" {
				t.Errorf("wanted (-) and made (+):\n%s", diff)
			}
		})
	}
}

const plain = `
metadata: {namespace: default, name: web}
spec: {type: NodePort, clusterIPs: [10.96.0.10], ports: [{port: 80, nodePort: 30080}]}
`

func slice(endpoints string) string {
	return "---\nmetadata: {namespace: default, name: web-1, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\n" +
		"ports: [{port: 8080, name: ''}]\nendpoints: [" + endpoints + "]\n"
}

// TestWakesOnlyForTheNode: where OVN picks the endpoint, another endpoint is nothing to the node.
func TestWakesOnlyForTheNode(t *testing.T) {
	calls := 0
	x := newIndex(func() { calls++ })
	fill(t, x, plain+slice("{addresses: [10.16.0.5]}"))
	if calls != 2 { // none yet; one endpoint
		t.Errorf("the Service and its first endpoint: %d changes, want 2", calls)
	}
	fill(t, x, strings.TrimPrefix(slice("{addresses: [10.16.0.6]}, {addresses: [10.16.0.7]}"), "---\n"))
	fill(t, x, plain)
	if calls != 2 {
		t.Errorf("other endpoints and the same Service again: %d changes, want 0", calls-2)
	}
	fill(t, x, strings.TrimPrefix(slice("{addresses: [192.0.2.7]}"), "---\n"))
	if calls != 3 || len(x.Rows()[0].Ports[0].Own) == 0 {
		t.Errorf("an endpoint outside the overlay: %d changes, want 1; %+v", calls-2, x.Rows()[0])
	}
	x.SetInside([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})
	if calls != 4 || len(x.Rows()[0].Ports[0].Own) > 0 {
		t.Errorf("a Subnet that it is in: %d changes, want 1; %+v", calls-3, x.Rows()[0])
	}
	x.DeleteSlice("default/web-1")
	if calls != 5 || x.Rows()[0].Ports[0].Live {
		t.Errorf("no endpoint: %d changes, want 1; %+v", calls-4, x.Rows()[0])
	}
	x.DeleteService("default/web")
	if calls != 6 || len(x.Rows()) != 0 {
		t.Errorf("no Service: %d changes, want 1; %v", calls-5, x.Rows())
	}
}
