package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fakeRoot is a repository with one small file for every program that the image takes.
func fakeRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, f := range files {
		name := f.from
		if strings.HasSuffix(name, "/") {
			name += "one"
		}
		write(t, filepath.Join(root, name), "content of "+name)
	}
	return root
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// build writes an archive on a small base and returns it.
func build(t *testing.T, root string) []byte {
	t.Helper()
	base := filepath.Join(t.TempDir(), "base.tar")
	write(t, base, "a base")
	own, err := heddleLayer(root)
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Output: filepath.Join(t.TempDir(), "dist", "image.tar"), Name: "docker.io/x/y", Version: "1.2.3", Arch: "amd64"}
	if err := writeArchive(c, base, own); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(c.Output)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func untar(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	content := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return content
		}
		if err != nil {
			t.Fatal(err)
		}
		if content[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestArchiveIsDeterministic(t *testing.T) {
	root := fakeRoot(t)
	if !bytes.Equal(build(t, root), build(t, root)) {
		t.Error("two builds of the same files differ")
	}
	write(t, filepath.Join(root, "bin/heddle-cni"), "changed")
	original := fakeRoot(t)
	if bytes.Equal(build(t, root), build(t, original)) {
		t.Error("a changed binary left the image as it was")
	}
}

// TestArchiveIsComplete follows index → manifest → config and layers, and checks every digest on the way.
func TestArchiveIsComplete(t *testing.T) {
	content := untar(t, build(t, fakeRoot(t)))
	blob := func(d descriptor) []byte {
		data := content["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
		if sum := fmt.Sprintf("sha256:%x", sha256.Sum256(data)); sum != d.Digest || int64(len(data)) != d.Size {
			t.Fatalf("%s: blob is %s of %d bytes, want %s of %d", d.MediaType, sum, len(data), d.Digest, d.Size)
		}
		return data
	}
	var i index
	decode(t, content["index.json"], &i)
	if name := i.Manifests[0].Annotations["io.containerd.image.name"]; name != "docker.io/x/y:1.2.3" {
		t.Errorf("name is %q", name)
	}
	var m manifest
	decode(t, blob(i.Manifests[0]), &m)
	var c imageConfig
	decode(t, blob(m.Config), &c)
	for n, layer := range m.Layers {
		blob(layer)
		if c.RootFS.DiffIDs[n] != layer.Digest {
			t.Errorf("layer %d: diff id %s, digest %s: they are one for a layer that is not compressed", n, c.RootFS.DiffIDs[n], layer.Digest)
		}
	}
	if len(m.Layers) != 2 || len(c.RootFS.DiffIDs) != 2 {
		t.Errorf("%d layers, %d diff ids, want 2 each", len(m.Layers), len(c.RootFS.DiffIDs))
	}
}

func decode(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
}

// TestLayerListsParentsFirst: an importer makes folders in the order in which they come.
func TestLayerListsParentsFirst(t *testing.T) {
	own, err := heddleLayer(fakeRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	content := untar(t, own)
	for _, want := range []string{"usr/local/bin/", "usr/local/lib/", "usr/local/lib/heddle/", "usr/local/lib/heddle/cni/", "usr/local/lib/heddle/cni/one", "usr/local/bin/heddle-cni"} {
		if _, ok := content[want]; !ok {
			t.Errorf("the layer has no %s", want)
		}
	}
}

func TestMissingBinaryIsNamed(t *testing.T) {
	root := fakeRoot(t)
	if err := os.Remove(filepath.Join(root, "bin/heddle-daemon")); err != nil {
		t.Fatal(err)
	}
	if _, err := heddleLayer(root); err == nil || !strings.Contains(err.Error(), "usr/local/bin/heddle-daemon") {
		t.Errorf("error %v does not name the file", err)
	}
}

// TestDockerfileMakesTheSameImage compares what can drift: the base, the list of packages, the files.
func TestDockerfileMakesTheSameImage(t *testing.T) {
	data, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	dockerfile := string(data)
	for _, want := range []string{"\nFROM debian:" + Suite + "-slim\n", "source=image/packages.txt", "grep -v '^#' /tmp/packages.txt | xargs apt-get install -y --no-install-recommends"} {
		if !strings.Contains(dockerfile, want) {
			t.Errorf("the Dockerfile lacks %q", want)
		}
	}
	_, final, _ := strings.Cut(dockerfile, "\nFROM debian")
	var got, want []string
	for _, m := range regexp.MustCompile(`(?m)^COPY (?:--from=build /src/)?(\S+) (\S+)$`).FindAllStringSubmatch(final, -1) {
		got = append(got, m[1]+" → "+m[2])
	}
	for _, f := range files {
		want = append(want, f.from+" → "+f.to)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the Dockerfile copies\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestPackagesAreSortedAndClean(t *testing.T) {
	list := packages()
	if len(list) < 8 || !slices.IsSorted(list) || slices.Contains(list, "") {
		t.Errorf("packages.txt gives %q", list)
	}
}

// TestBaseIsNamedAfterItsContent: another package list must not find an old base.
func TestBaseIsNamedAfterItsContent(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	before, err := basePath("amd64")
	if err != nil {
		t.Fatal(err)
	}
	defer func(old string) { packagesFile = old }(packagesFile)
	packagesFile += "vim\n"
	if after, _ := basePath("amd64"); after == before {
		t.Error("a new package keeps the name of the base")
	}
}
