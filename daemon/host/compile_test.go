package host

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the wanted results in testdata")

// world is the "in" of a golden file.
type world struct {
	Datapath     Datapath
	EncapIP      netip.Addr
	MTU          int
	ServiceCIDRs []netip.Prefix
	Facts        Facts
	Input        *Input
	Teardown     bool
}

func (w world) compile() Desired {
	if w.Teardown {
		return CompileTeardown(w.Facts)
	}
	return Compile(Config{
		NodeName: "heddle-1", Datapath: w.Datapath, EncapIP: w.EncapIP, MTU: w.MTU, ServiceCIDRs: w.ServiceCIDRs,
	}, w.Input, w.Facts)
}

// readWorld reads the file "in" of a golden file.
func readWorld(t *testing.T, data []byte) world {
	t.Helper()
	var w world
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		t.Fatal(err)
	}
	return w
}

// readFile reads the world of a golden file.
func readFile(t *testing.T, name string) world {
	t.Helper()
	a, err := txtar.ParseFile("testdata/compile/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	return readWorld(t, a.Files[0].Data)
}

// TestCompile compares each world's Desired with the golden file, and checks that a node that has it plans nothing.
func TestCompile(t *testing.T) {
	files, err := filepath.Glob("testdata/compile/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("golden files: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := readWorld(t, a.Files[0].Data).compile()
			if *update {
				a.Files = append(a.Files[:1], txtar.File{Name: "want", Data: []byte(want.String())})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(a.Files[1].Data), want.String()); diff != "" {
				t.Errorf("wanted (-) and compiled (+):\n%s", diff)
			}
			if p := MakePlan(established(want), want); !p.Empty() || len(p.Waiting) > 0 {
				t.Errorf("a node that has it all plans %q, waits for %q", p.Operations(), p.Waiting)
			}
		})
	}
}

// established is a node on which all of want is done.
func established(want Desired) Observed {
	have := Observed{
		Bridges: map[string]Bridge{}, Ports: map[string]Port{}, Sysctls: map[string]string{}, Links: map[string]Link{},
		Tables: map[string]Table{},
	}
	for _, s := range want.Segments {
		for _, b := range s.Bridges {
			have.Bridges[b.Name] = b
		}
		for _, p := range s.Ports {
			p.OFPort = 1
			have.Ports[p.Name] = p
		}
		for _, c := range s.Sysctls {
			have.Sysctls[c.Key] = c.Value
		}
		for _, l := range s.Links {
			have.Links[l.Name] = l
		}
		for _, t := range s.Tables {
			have.Tables[t.Family] = t
		}
		have.Addrs = append(have.Addrs, s.Addrs...)
		have.Routes = append(have.Routes, s.Routes...)
	}
	return have
}
