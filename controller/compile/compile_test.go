package compile_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
)

var update = flag.Bool("update", false, "rewrite the rows and problems in testdata/*.txtar")

// golden is one file of testdata: `flags` for all its cases, and of each case NAME.yaml (objects of a cluster), NAME.rows
// (what all owners want) and NAME.problems.
type golden struct {
	file    string
	archive *txtar.Archive
	config  state.Config
}

func goldens(t testing.TB) []golden {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	var list []golden
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		g := golden{file, archive, parseFlags(t, "")}
		if flags := g.section("flags"); flags != nil {
			g.config = parseFlags(t, string(*flags))
		}
		list = append(list, g)
	}
	return list
}

// section returns the data of a section, nil when there is none.
func (g golden) section(name string) *[]byte {
	for i := range g.archive.Files {
		if g.archive.Files[i].Name == name {
			return &g.archive.Files[i].Data
		}
	}
	return nil
}

// cases returns the objects of each case by its name.
func (g golden) cases(t testing.TB) map[string][]object {
	t.Helper()
	cases := make(map[string][]object)
	for _, f := range g.archive.Files {
		if name, ok := strings.CutSuffix(f.Name, ".yaml"); ok {
			cases[name] = parseObjects(t, string(f.Data))
		}
	}
	return cases
}

// TestGolden compares with the files; -update writes them, and whoever reviews reads the difference.
func TestGolden(t *testing.T) {
	for _, g := range goldens(t) {
		for name, objects := range g.cases(t) {
			t.Run(strings.TrimSuffix(filepath.Base(g.file), ".txtar")+"/"+name, func(t *testing.T) {
				rows, problems := text(fill(g.config, objects))
				g.compare(t, name+".rows", rows)
				g.compare(t, name+".problems", problems)
			})
		}
		if *update {
			if err := os.WriteFile(g.file, txtar.Format(g.archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (g golden) compare(t *testing.T, section, got string) {
	t.Helper()
	want := g.section(section)
	switch {
	case want == nil:
		t.Errorf("%s has no section %s", g.file, section)
	case *update:
		*want = []byte(got)
	case got != string(*want):
		t.Errorf("%s: got\n%swant\n%s", section, got, *want)
	}
}

// TestRowsAreWantedOnce: an owner that wants a row twice would be in its own way, and not be applied at all.
func TestRowsAreWantedOnce(t *testing.T) {
	for _, g := range goldens(t) {
		for name, objects := range g.cases(t) {
			_, outputs := compileAll(fill(g.config, objects))
			for owner, out := range outputs {
				seen := make(map[nb.Ref]bool)
				for _, row := range out.Rows {
					if seen[row.Ref()] {
						t.Errorf("%s, case %s: %s wants %s twice", g.file, name, owner, row.Ref())
					}
					seen[row.Ref()] = true
				}
			}
		}
	}
}

// TestDeterminism compiles the objects of each golden in other orders, and twice: the text is always the same.
func TestDeterminism(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, g := range goldens(t) {
		for name, objects := range g.cases(t) {
			wantRows, wantProblems := text(fill(g.config, objects))
			for range 5 {
				r.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
				s := fill(g.config, objects)
				for range 2 {
					if rows, problems := text(s); rows != wantRows || problems != wantProblems {
						t.Fatalf("%s/%s: in another order\n%s%s\nwant\n%s%s", g.file, name, rows, problems, wantRows, wantProblems)
					}
				}
			}
		}
	}
}

// TestEmpty shows that owners that are gone, and kinds that this version does not know, want nothing.
func TestEmpty(t *testing.T) {
	s := state.New(parseFlags(t, ""))
	for _, kind := range []string{state.KindVpc, state.KindSubnet, state.KindNode, state.KindPod, "loom", ""} {
		owner := nb.Owner{Kind: kind, Key: "default/gone"}
		s.Compile(owner, func(v *state.View) {
			if out := compile.Owner(v, owner); len(out.Rows)+len(out.Problems) > 0 {
				t.Errorf("%s wants %+v", owner, out)
			}
		})
	}
}
