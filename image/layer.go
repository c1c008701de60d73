package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// files says where each of Heddle's own files comes from in the repository and where it goes in the image. A source that ends
// in a slash is a folder. The Dockerfile copies the same.
var files = []struct{ from, to string }{
	{"bin/heddle-controller", "/usr/local/bin/heddle-controller"},
	{"bin/heddle-daemon", "/usr/local/bin/heddle-daemon"},
	{"bin/heddle-cni", "/usr/local/bin/heddle-cni"},
	{"bin/cni/", "/usr/local/lib/heddle/cni/"},
	{"image/entrypoint/", "/usr/local/lib/heddle/"},
}

// epoch is the time of every file in the layer: a layer says what it holds, not when it was made.
var epoch = time.Unix(0, 0)

// heddleLayer returns the tar of Heddle's files.
func heddleLayer(root string) ([]byte, error) {
	content, err := collect(root)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, dir := range parents(content) {
		if err := w.WriteHeader(&tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: epoch}); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(content)) {
		if err := addFile(w, name, content[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return buf.Bytes(), w.Close()
}

// addFile writes one file; all are programs or scripts.
func addFile(w *tar.Writer, name, source string) error {
	data, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data)), ModTime: epoch}); err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// collect resolves files to "path in the image without the leading slash" → "path on disk".
func collect(root string) (map[string]string, error) {
	content := map[string]string{}
	for _, f := range files {
		source, target := filepath.Join(root, f.from), strings.TrimPrefix(f.to, "/")
		if !strings.HasSuffix(f.from, "/") {
			content[target] = source
			continue
		}
		entries, err := os.ReadDir(source)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			content[path.Join(target, e.Name())] = filepath.Join(source, e.Name())
		}
	}
	return content, nil
}

// parents lists the folders above the files that the base may lack, each before what it holds.
func parents(content map[string]string) []string {
	seen := map[string]bool{}
	for name := range content {
		for dir := path.Dir(name); dir != "usr/local"; dir = path.Dir(dir) {
			seen[dir] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}
