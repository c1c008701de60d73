package image

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestArchiveNamesItsLayersByTheirDigests(t *testing.T) {
	dir := t.TempDir()
	layer := filepath.Join(dir, "layer.tar")
	if err := writeLayer(layer, []entry{
		{name: "program", from: layerSource(t, dir), mode: 0o755},
		{name: "also", link: "program"},
		{name: "folder/", mode: 0o777},
	}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "image.tar")
	a := archive{name: "registry.test/a:1", process: process{Entrypoint: []string{"/program"}}, layers: []string{layer}}
	if err := a.write(path); err != nil {
		t.Fatal(err)
	}
	files := readTar(t, path)

	var m []manifest
	decode(t, files["manifest.json"], &m)
	if len(m) != 1 || fmt.Sprint(m[0].RepoTags, m[0].Layers) != "[registry.test/a:1] [layer0.tar]" {
		t.Fatalf("manifest is %+v", m)
	}
	var c config
	decode(t, files[m[0].Config], &c)
	if want := fmt.Sprintf("[sha256:%x]", sha256.Sum256(files["layer0.tar"])); fmt.Sprint(c.RootFS.DiffIDs) != want {
		t.Errorf("layers of the configuration are %v, want %s", c.RootFS.DiffIDs, want)
	}
	if inside := readTar(t, layer); string(inside["program"]) != "text" || len(inside) != 3 {
		t.Errorf("layer holds %v", inside)
	}
}

func layerSource(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "source")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readTar(t *testing.T, path string) map[string][]byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	files := map[string][]byte{}
	for r := tar.NewReader(file); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func decode(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}
