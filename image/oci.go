package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// The parts of the OCI image format (github.com/opencontainers/image-spec, v1.1) that this image uses.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type imageConfig struct {
	platform
	Created string    `json:"created"`
	Config  runConfig `json:"config"`
	RootFS  rootFS    `json:"rootfs"`
}

type runConfig struct {
	Env    []string          `json:"Env"`
	Labels map[string]string `json:"Labels"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	// Layers are not compressed: the archive goes to a local container runtime, and the time to import is what counts.
	typeLayer = "application/vnd.oci.image.layer.v1.tar"
)

// archive writes an OCI layout as a tar.
type archive struct{ *tar.Writer }

// writeArchive writes the whole image to c.Output, by way of a file beside it.
func writeArchive(c Config, basePath string, own []byte) error {
	if err := os.MkdirAll(filepath.Dir(c.Output), 0o755); err != nil {
		return err
	}
	partial := c.Output + ".partial"
	defer os.Remove(partial)
	out, err := os.Create(partial)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := writeLayout(archive{tar.NewWriter(out)}, c, basePath, own); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(partial, c.Output)
}

// writeLayout writes the blobs bottom up, each named by its digest, then the index that refers to them.
func writeLayout(a archive, c Config, basePath string, own []byte) error {
	base, err := a.fileBlob(basePath, typeLayer)
	if err != nil {
		return err
	}
	top, err := a.blob(own, typeLayer)
	if err != nil {
		return err
	}
	config, err := a.jsonBlob(configOf(c, base.Digest, top.Digest), typeConfig)
	if err != nil {
		return err
	}
	m, err := a.jsonBlob(manifest{2, typeManifest, config, []descriptor{base, top}}, typeManifest)
	if err != nil {
		return err
	}
	m.Platform = &platform{c.Arch, "linux"}
	m.Annotations = names(c)
	return a.finish(index{2, typeIndex, []descriptor{m}})
}

// names are the annotations by which importers name the image: containerd reads its own, podman and docker the standard one.
func names(c Config) map[string]string {
	name := c.Name + ":" + c.Version
	return map[string]string{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
}

func configOf(c Config, diffIDs ...string) imageConfig {
	return imageConfig{
		platform: platform{c.Arch, "linux"},
		Created:  epoch.UTC().Format("2006-01-02T15:04:05Z"),
		Config: runConfig{
			Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			Labels: map[string]string{
				"org.opencontainers.image.title":    "heddle",
				"org.opencontainers.image.licenses": "Apache-2.0",
				"org.opencontainers.image.version":  c.Version,
				"org.opencontainers.image.revision": c.Commit,
			},
		},
		RootFS: rootFS{"layers", diffIDs},
	}
}

func (a archive) finish(i index) error {
	data, err := json.Marshal(i)
	if err != nil {
		return err
	}
	if err := a.file("index.json", data); err != nil {
		return err
	}
	if err := a.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	return a.Close()
}

func (a archive) jsonBlob(v any, mediaType string) (descriptor, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	return a.blob(data, mediaType)
}

func (a archive) blob(data []byte, mediaType string) (descriptor, error) {
	return a.stream(bytes.NewReader(data), mediaType)
}

func (a archive) fileBlob(path, mediaType string) (descriptor, error) {
	f, err := os.Open(path)
	if err != nil {
		return descriptor{}, err
	}
	defer f.Close()
	return a.stream(f, mediaType)
}

// stream reads r twice, first for the digest that names the blob, so that a layer never has to fit in memory.
func (a archive) stream(r io.ReadSeeker, mediaType string) (descriptor, error) {
	h := sha256.New()
	size, err := io.Copy(h, r)
	if err != nil {
		return descriptor{}, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return descriptor{}, err
	}
	sum := fmt.Sprintf("%x", h.Sum(nil))
	if err := a.header("blobs/sha256/"+sum, size); err != nil {
		return descriptor{}, err
	}
	_, err = io.Copy(a, r)
	return descriptor{MediaType: mediaType, Digest: "sha256:" + sum, Size: size}, err
}

func (a archive) file(name string, data []byte) error {
	if err := a.header(name, int64(len(data))); err != nil {
		return err
	}
	_, err := a.Write(data)
	return err
}

func (a archive) header(name string, size int64) error {
	return a.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, ModTime: epoch})
}
