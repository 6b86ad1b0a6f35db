package proxmox_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

const copying = "UPID:pve1:000045AA:00079B23:6B04FA55:imgcopy::ci@pve!runner:"

func iso(body string) proxmox.Upload {
	return proxmox.Upload{Storage: "local", Content: "iso", Name: "x.iso", Body: strings.NewReader(body), Size: int64(len(body))}
}

// TestAnUploadIsInTheOnlyFormThatProxmoxReads: the order of the parts, the boundary without quotes, the length.
func TestAnUploadIsInTheOnlyFormThatProxmoxReads(t *testing.T) {
	body := strings.Repeat("0123456789", 20_000)
	w := newWire(t, false, always(reply("200 OK", `{"data":"`+copying+`"}`)))
	var told []int64
	u := iso(body)
	u.Progress = func(sent int64) { told = append(told, sent) }
	task, err := newClient(t, nil, w.URL).Upload(t.Context(), "pve1", u)
	if err != nil || task != copying {
		t.Fatal(task, err)
	}
	got := w.requests()[0]
	if got.Method != http.MethodPost || got.URI != "/api2/json/nodes/pve1/storage/local/upload" || got.Chunked || got.Length != int64(len(got.Body)) {
		t.Errorf("%s %s, chunked %v, length %d of %d", got.Method, got.URI, got.Chunked, got.Length, len(got.Body))
	}
	kind, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || strings.Contains(got.Header.Get("Content-Type"), `"`) {
		t.Errorf("content type %q: %v", got.Header.Get("Content-Type"), err)
	}
	sum := sha256.Sum256([]byte(body))
	want := []string{"content=iso", "checksum-algorithm=sha256", "checksum=" + hex.EncodeToString(sum[:]), "filename=x.iso"}
	var have []string
	for parts := multipart.NewReader(strings.NewReader(got.Body), params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		if part.FileName() != "" {
			if string(data) != body {
				t.Errorf("the file has %d bytes, want %d", len(data), len(body))
			}
			data = []byte(part.FileName())
		}
		have = append(have, part.FormName()+"="+string(data))
	}
	if !slices.Equal(have, want) {
		t.Errorf("parts %q, want %q", have, want)
	}
	if !strings.Contains(got.Body, "\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"x.iso\"\r\nContent-Type:") {
		t.Errorf("the file's part doesn't begin with its Content-Disposition: %q", got.Body[:600])
	}
	if !slices.IsSorted(told) || len(told) == 0 || told[len(told)-1] != int64(len(body)) {
		t.Errorf("progress %v", told)
	}
}

func TestAnUploadIsSentAgainOnlyWhereItWasNotExecuted(t *testing.T) {
	done := reply("200 OK", `{"data":"`+copying+`"}`)
	for _, tc := range []struct {
		name  string
		first []byte
		kind  error
		sent  int
	}{
		{"no connection to the node", bare("595 Connection refused"), nil, 2},
		{"reply lost", nil, proxmox.MaybeHappened, 1},
		{"broken behind the proxy", bare("596 Connection timed out"), proxmox.MaybeHappened, 1},
		{"not allowed", bare("403 Permission check failed (/storage/local, Datastore.AllocateTemplate)"), proxmox.Permission, 1},
	} {
		answers := [][]byte{tc.first, done}
		w := newWire(t, false, func(request) []byte {
			next := answers[0]
			answers = answers[1:]
			return next
		})
		_, err := newClient(t, nil, w.URL, w.URL).Upload(t.Context(), "pve1", iso("the body"))
		if !errors.Is(err, tc.kind) || len(w.requests()) != tc.sent {
			t.Errorf("%s: %v after %d requests, want %v after %d", tc.name, err, len(w.requests()), tc.kind, tc.sent)
		}
		for _, r := range w.requests() {
			if !strings.Contains(r.Body, "\r\n\r\nthe body\r\n--") {
				t.Errorf("%s: sent %q", tc.name, r.Body)
			}
		}
	}
}

func TestUploadsThatProxmoxWouldRenameAreNotSent(t *testing.T) {
	c := newClient(t, nil, refused(t))
	for _, name := range []string{"", "a b.iso", "ä.iso", "a/b.iso", "..", ".iso", "a\".iso", strings.Repeat("x", 256)} {
		u := iso("x")
		u.Name = name
		if _, err := c.Upload(t.Context(), "pve1", u); !errors.Is(err, proxmox.BadParameter) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, id := range []string{"", "local", "local:", ":iso/x.iso"} {
		if _, err := c.DeleteVolume(t.Context(), "pve1", id); !errors.Is(err, proxmox.BadParameter) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

type unreadable struct{}

func (unreadable) ReadAt([]byte, int64) (int, error) { return 0, errors.New("input/output error") }

func TestAFileThatCantBeReadIsNotUploaded(t *testing.T) {
	u := iso("")
	u.Body, u.Size = unreadable{}, 10
	_, err := newClient(t, nil, refused(t)).Upload(t.Context(), "pve1", u)
	if !errors.Is(err, proxmox.BadParameter) || !strings.Contains(err.Error(), "can't be read: input/output error") {
		t.Error(err)
	}
}

// TestAnUploadsSecretsShowNowhere lets a server repeat what it was sent.
func TestAnUploadsSecretsShowNowhere(t *testing.T) {
	const identity = "eyJhZ2VudCI6IHByaXZhdGUga2V5"
	for _, status := range []string{"500 got ", "400 got ", "403 got ", "596 got "} {
		var log lockedBuffer
		w := newWire(t, false, func(r request) []byte { return bare(status + strings.ReplaceAll(r.Body, "\r\n", " ")) })
		u := iso("runcmd: " + identity)
		u.Secrets = []runner.Secret{runner.NewSecret(identity)}
		_, err := newClient(t, func(o *proxmox.Options) { o.Logger = logTo(&log) }, w.URL).Upload(t.Context(), "pve1", u)
		if err == nil || strings.Contains(err.Error(), identity) || bytes.Contains([]byte(log.String()), []byte(identity)) {
			t.Errorf("%s: %v\n%s", status, err, log.String())
		}
	}
}

func TestAVolumesNameIsItsFiles(t *testing.T) {
	for id, want := range map[string]string{"local:iso/x.iso": "x.iso", "local-lvm:vm-1-disk-0": "vm-1-disk-0", "a:9000/base-9000-disk-0.qcow2/1/d.qcow2": "d.qcow2", "": ""} {
		if got := (proxmox.Volume{ID: id}).Name(); got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}
}
