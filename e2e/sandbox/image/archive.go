package image

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// process is how the image's process starts, as in the OCI image configuration.
type process struct {
	Env        []string
	Entrypoint []string
	Cmd        []string `json:",omitempty"`
}

// archive is a docker-archive: what `docker save` writes.
type archive struct {
	name    string // with registry and tag
	process process
	layers  []string // paths of tar archives, the lowest first
}

type config struct {
	Architecture string  `json:"architecture"`
	OS           string  `json:"os"`
	Config       process `json:"config"`
	RootFS       rootFS  `json:"rootfs"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (a archive) write(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w := tar.NewWriter(file)
	c := config{Architecture: runtime.GOARCH, OS: "linux", Config: a.process, RootFS: rootFS{Type: "layers"}}
	m := manifest{Config: "config.json", RepoTags: []string{a.name}}
	for i, layer := range a.layers {
		name := fmt.Sprintf("layer%d.tar", i)
		id, err := addFile(w, name, layer)
		if err != nil {
			return fmt.Errorf("image %s: %w", a.name, err)
		}
		m.Layers = append(m.Layers, name)
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, id)
	}
	if err := addJSON(w, "config.json", c); err != nil {
		return fmt.Errorf("image %s: %w", a.name, err)
	}
	if err := addJSON(w, "manifest.json", []manifest{m}); err != nil {
		return fmt.Errorf("image %s: %w", a.name, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("image %s: %w", a.name, err)
	}
	return file.Close()
}

// addFile copies a file into the archive and returns its digest.
func addFile(w *tar.Writer, name, path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: info.Size()}); err != nil {
		return "", err
	}
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, hash), file); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}

func addJSON(w *tar.Writer, name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return addBytes(w, tar.Header{Name: name, Mode: 0o644}, data)
}

func addBytes(w *tar.Writer, header tar.Header, data []byte) error {
	header.Size = int64(len(data))
	if err := w.WriteHeader(&header); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

// entry is a file of a layer that is made here.
type entry struct {
	name string
	from string // file whose content it gets, or
	link string // what the symbolic link points to, or
	text string
	mode int64
}

// writeLayer writes a layer of a few files.
func writeLayer(path string, entries []entry) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w := tar.NewWriter(file)
	for _, e := range entries {
		if err := e.add(w); err != nil {
			return fmt.Errorf("layer %s: %s: %w", path, e.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("layer %s: %w", path, err)
	}
	return file.Close()
}

func (e entry) add(w *tar.Writer) error {
	switch {
	case e.link != "":
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: e.name, Linkname: e.link, Mode: 0o777})
	case strings.HasSuffix(e.name, "/"):
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: e.name, Mode: e.mode})
	case e.from == "":
		return addBytes(w, tar.Header{Name: e.name, Mode: e.mode}, []byte(e.text))
	}
	data, err := os.ReadFile(e.from)
	if err != nil {
		return err
	}
	return addBytes(w, tar.Header{Name: e.name, Mode: e.mode}, data)
}
