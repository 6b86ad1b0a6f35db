package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestImageIsWhatItsDigestsSay(t *testing.T) {
	layout := untar(t, testImage(t))
	if got := string(layout["oci-layout"].data); got != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout %s", got)
	}
	blob := func(d descriptor) []byte {
		t.Helper()
		data := layout["blobs/"+strings.Replace(d.Digest, ":", "/", 1)].data
		if digest(data) != d.Digest || len(data) != d.Size {
			t.Fatalf("%s is not what its descriptor says", d.Digest)
		}
		return data
	}
	top := parse[index](t, layout["index.json"].data)
	if len(top.Manifests) != 1 || top.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "mayfly:1.2.3" {
		t.Fatalf("index %+v", top)
	}
	m := parse[manifest](t, blob(top.Manifests[0]))
	config := parse[imageConfig](t, blob(m.Config))
	if config.Architecture != "arm64" || config.Config.User != "65532:65532" || len(config.RootFS.DiffIDs) != len(m.Layers) {
		t.Errorf("configuration %+v", config)
	}
	files := map[string]unpacked{}
	for i, l := range m.Layers {
		zip, err := gzip.NewReader(bytes.NewReader(blob(l)))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(zip)
		if err != nil {
			t.Fatal(err)
		}
		if digest(plain) != config.RootFS.DiffIDs[i] {
			t.Errorf("layer %d unpacked is not what the configuration says", i)
		}
		for name, f := range untar(t, plain) {
			files[name] = f
		}
	}
	for name, want := range map[string]string{"usr/bin/mayfly": "program", "etc/ssl/certs/ca-certificates.crt": "certificates"} {
		if got := string(files[name].data); got != want {
			t.Errorf("%s holds %q", name, got)
		}
	}
	if mode := files["usr/bin/mayfly"].header.Mode; mode != 0o755 {
		t.Errorf("the program has mode %o", mode)
	}
	if owner := files["var/lib/mayfly/"].header.Uid; owner != nobody {
		t.Errorf("its folder belongs to %d", owner)
	}
}

func TestImageIsTheSameEachTime(t *testing.T) {
	if !bytes.Equal(testImage(t), testImage(t)) {
		t.Error("two runs differ")
	}
}

// testImage is an image of two small files.
func testImage(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	i := image{binary: filepath.Join(dir, "b"), certificates: filepath.Join(dir, "c"), arch: "arm64", version: "1.2.3", at: at}
	out := filepath.Join(dir, "out", "image.tar")
	err := errors.Join(os.WriteFile(i.binary, []byte("program"), 0o600), os.WriteFile(i.certificates, []byte("certificates"), 0o600), writeImage(i, out))
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

type unpacked struct {
	header *tar.Header
	data   []byte
}

func untar(t *testing.T, data []byte) map[string]unpacked {
	t.Helper()
	files := map[string]unpacked{}
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(at) {
			t.Errorf("%s is of %s, not of the release's time", h.Name, h.ModTime)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = unpacked{h, text}
	}
}

func parse[T any](t *testing.T, data []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("parse %s: %v", data, err)
	}
	return v
}
