package crds_test

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the wanted answers in testdata")

// TestValidation asks the API server's own code about the objects in testdata/*.txtar. The files of one case share a
// prefix:
//
//	NAME/new     the object; without NAME/old it is created
//	NAME/old     the object before, as it is stored; an update
//	NAME/status  the object in an update of its status, instead of NAME/new
//	NAME/want    what comes out: kubectl's text of the error, or the stored spec with its defaults (the status, for NAME/status)
func TestValidation(t *testing.T) {
	servers := newServers(t)
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			cases := casesOf(archive)
			for _, name := range slices.Sorted(maps.Keys(cases)) {
				t.Run(name, func(t *testing.T) { checkCase(t, servers, cases[name]) })
			}
			if *update {
				writeCases(t, path, archive, cases)
			}
		})
	}
}

// checkCase compares the answer with the wanted one, or records it with -update.
func checkCase(t *testing.T, servers map[string]*server, files map[string][]byte) {
	got := answer(t, servers, files)
	if *update {
		files["want"] = []byte(got)
	}
	if want := string(files["want"]); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func answer(t *testing.T, servers map[string]*server, files map[string][]byte) string {
	t.Helper()
	var object *unstructured.Unstructured
	var err error
	part := "spec"
	switch s := serverOf(t, servers, files); {
	case files["status"] != nil:
		part = "status"
		object, err = s.update(s.status, files["old"], files["status"])
	case files["old"] != nil:
		object, err = s.update(s.main, files["old"], files["new"])
	default:
		object, err = s.create(files["new"])
	}
	if err != nil {
		return kubectlText(err)
	}
	return partText(t, object, part)
}

// serverOf finds the server for a case by its object's kind.
func serverOf(t *testing.T, servers map[string]*server, files map[string][]byte) *server {
	t.Helper()
	data := files["new"]
	if data == nil {
		data = files["status"]
	}
	var object struct{ Kind string }
	if err := yaml.Unmarshal(data, &object); err != nil || servers[object.Kind] == nil {
		t.Fatalf("no CRD of kind %q: %v", object.Kind, err)
	}
	return servers[object.Kind]
}

func partText(t *testing.T, object *unstructured.Unstructured, part string) string {
	t.Helper()
	out, err := yaml.Marshal(map[string]any{part: object.Object[part]})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// casesOf groups the files of an archive by case.
func casesOf(archive *txtar.Archive) map[string]map[string][]byte {
	cases := map[string]map[string][]byte{}
	for _, file := range archive.Files {
		name, part, _ := strings.Cut(file.Name, "/")
		if cases[name] == nil {
			cases[name] = map[string][]byte{}
		}
		cases[name][part] = file.Data
	}
	return cases
}

// writeCases puts the recorded answers into the archive, each after the last file of its case.
func writeCases(t *testing.T, path string, archive *txtar.Archive, cases map[string]map[string][]byte) {
	t.Helper()
	var files []txtar.File
	for i, file := range archive.Files {
		name, part, _ := strings.Cut(file.Name, "/")
		if part != "want" {
			files = append(files, file)
		}
		if i+1 == len(archive.Files) || !strings.HasPrefix(archive.Files[i+1].Name, name+"/") {
			files = append(files, txtar.File{Name: name + "/want", Data: cases[name]["want"]})
		}
	}
	archive.Files = files
	if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}
