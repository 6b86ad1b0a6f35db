package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"
)

// Media types of the OCI image format (https://github.com/opencontainers/image-spec/blob/v1.1.0/media-types.md).
const (
	indexType    = "application/vnd.oci.image.index.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// nobody is the user in the image; the number that images without a distribution commonly use.
const nobody = 65532

// image is what an image is made of.
type image struct {
	binary, arch, version string
	// certificates is a file of root certificates: without any, GitHub can't be trusted.
	certificates string
	at           time.Time
}

// descriptor points to a blob.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// manifest is an image's list of parts.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Annotations   map[string]string `json:"annotations"`
}

// index is the entry of a layout.
type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

// imageConfig says how a container is run.
type imageConfig struct {
	Created      string    `json:"created"`
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Config       runConfig `json:"config"`
	RootFS       rootFS    `json:"rootfs"`
	History      []history `json:"history"`
}

type runConfig struct {
	User       string            `json:"User"`
	Env        []string          `json:"Env"`
	Entrypoint []string          `json:"Entrypoint"`
	Cmd        []string          `json:"Cmd"`
	WorkingDir string            `json:"WorkingDir"`
	StopSignal string            `json:"StopSignal"`
	Labels     map[string]string `json:"Labels"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type history struct {
	Created   string `json:"created"`
	CreatedBy string `json:"created_by"`
}

// entry is a file or, where the name ends with a slash, a folder.
type entry struct {
	name  string
	mode  int64
	owner int
	data  []byte
}

// writeImage writes the layout as one tar file, which `podman load`, `docker load` (25 or newer) and
// `skopeo copy oci-archive:FILE …` read.
func writeImage(i image, out string) error {
	program, err := os.ReadFile(i.binary)
	if err != nil {
		return fmt.Errorf("read the program: %w", err)
	}
	certificates, err := os.ReadFile(i.certificates)
	if err != nil {
		return fmt.Errorf("read the root certificates: %w; want a PEM file, such as that of Debian's ca-certificates", err)
	}
	entries, err := i.layout(program, certificates)
	if err != nil {
		return err
	}
	archive, err := tarOf(entries, i.at)
	if err != nil {
		return err
	}
	return write(out, archive)
}

// layout lists the files of an OCI layout.
func (i image) layout(program, certificates []byte) ([]entry, error) {
	layers := [][]entry{ // what changes seldom comes first, so that an upgrade transfers the program alone
		{
			{name: "etc/", mode: 0o755},
			{name: "etc/group", mode: 0o644, data: fmt.Appendf(nil, "root:x:0:\nmayfly:x:%d:\n", nobody)},
			{name: "etc/mayfly/", mode: 0o755},
			{name: "etc/passwd", mode: 0o644, data: fmt.Appendf(nil, "root:x:0:0::/:/sbin/nologin\nmayfly:x:%d:%d::/var/lib/mayfly:/sbin/nologin\n", nobody, nobody)},
			{name: "etc/ssl/", mode: 0o755},
			{name: "etc/ssl/certs/", mode: 0o755},
			{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, data: certificates},
			{name: "tmp/", mode: 0o1777},
			{name: "var/", mode: 0o755},
			{name: "var/lib/", mode: 0o755},
			{name: "var/lib/mayfly/", mode: 0o700, owner: nobody},
		},
		{
			{name: "usr/", mode: 0o755},
			{name: "usr/bin/", mode: 0o755},
			{name: "usr/bin/mayfly", mode: 0o755, data: program},
		},
	}
	created := i.at.Format(time.RFC3339)
	labels := map[string]string{
		"org.opencontainers.image.created": created,
		"org.opencontainers.image.title":   "mayfly",
		"org.opencontainers.image.version": i.version,
	}
	config := imageConfig{
		Created: created, Architecture: i.arch, OS: "linux", RootFS: rootFS{Type: "layers"},
		Config: runConfig{
			User: fmt.Sprintf("%d:%d", nobody, nobody), Env: []string{"PATH=/usr/bin"}, Entrypoint: []string{"/usr/bin/mayfly"},
			Cmd: []string{"run"}, WorkingDir: "/etc/mayfly", StopSignal: "SIGTERM", Labels: labels,
		},
	}
	blobs := map[string][]byte{}
	m := manifest{SchemaVersion: 2, MediaType: manifestType, Annotations: labels}
	for n, files := range layers {
		plain, err := tarOf(files, i.at)
		if err != nil {
			return nil, err
		}
		var packed bytes.Buffer
		zip := gzip.NewWriter(&packed)
		if _, err := zip.Write(plain); err != nil {
			return nil, err
		}
		if err := zip.Close(); err != nil {
			return nil, err
		}
		m.Layers = append(m.Layers, put(blobs, layerType, packed.Bytes()))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest(plain))
		config.History = append(config.History, history{created, []string{"base files", "mayfly " + i.version}[n]})
	}
	var err error
	if m.Config, err = putJSON(blobs, configType, config); err != nil {
		return nil, err
	}
	top, err := putJSON(blobs, manifestType, m)
	if err != nil {
		return nil, err
	}
	top.Annotations = map[string]string{"org.opencontainers.image.ref.name": "mayfly:" + i.version}
	entryPoint, err := json.Marshal(index{2, indexType, []descriptor{top}})
	if err != nil {
		return nil, err
	}
	entries := []entry{
		{name: "blobs/", mode: 0o755},
		{name: "blobs/sha256/", mode: 0o755},
		{name: "index.json", mode: 0o644, data: entryPoint},
		{name: "oci-layout", mode: 0o644, data: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
	}
	for d, data := range blobs {
		entries = append(entries, entry{name: "blobs/sha256/" + d[len("sha256:"):], mode: 0o644, data: data})
	}
	return entries, nil
}

func putJSON(blobs map[string][]byte, mediaType string, v any) (descriptor, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	return put(blobs, mediaType, data), nil
}

func put(blobs map[string][]byte, mediaType string, data []byte) descriptor {
	d := digest(data)
	blobs[d] = data
	return descriptor{MediaType: mediaType, Digest: d, Size: len(data)}
}

func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// tarOf packs the entries by name, all of that time; folders come before what is in them.
func tarOf(entries []entry, at time.Time) ([]byte, error) {
	entries = slices.SortedFunc(slices.Values(entries), func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: e.name, Mode: e.mode, Uid: e.owner, Gid: e.owner,
			Size: int64(len(e.data)), ModTime: at, Format: tar.FormatUSTAR,
		}
		if e.name[len(e.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("pack %s: %w", e.name, err)
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, fmt.Errorf("pack %s: %w", e.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
