package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
)

const sourceURL = "http://images.example/debian-12.qcow2"

// vendorImage is as much of a qcow2 image as Proxmox looks at (QEMU docs/interop/qcow2.txt).
func vendorImage() []byte {
	b := make([]byte, 4096)
	copy(b, "QFI\xfb")
	binary.BigEndian.PutUint32(b[4:], 3)
	binary.BigEndian.PutUint32(b[20:], 16)
	binary.BigEndian.PutUint64(b[24:], uint64(2*runner.GiB))
	return b
}

// web serves the vendor's image, to nodes and to us.
type web struct{ asked atomic.Int32 }

func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	w.asked.Add(1)
	if r.URL.String() != sourceURL {
		return &http.Response{Status: "404 Not Found", StatusCode: http.StatusNotFound, Body: http.NoBody, Request: r}, nil
	}
	body := vendorImage()
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)), Request: r,
	}, nil
}

// calls counts requests to Proxmox and hears each before it is sent.
type calls struct {
	next   http.RoundTripper
	count  atomic.Int32
	before func(n int, r *http.Request)
}

func (c *calls) RoundTrip(r *http.Request) (*http.Response, error) {
	n := int(c.count.Add(1))
	if c.before != nil {
		c.before(n, r)
	}
	return c.next.RoundTrip(r)
}

// bench is a builder and a cluster of two nodes.
type bench struct {
	t       *testing.T
	pve     *pve.Server
	guests  *engine
	web     *web
	calls   *calls
	client  *proxmox.Client
	builder *Builder
	log     *bytes.Buffer
	events  []Event
}

// setup are the parts of a bench that a test may change.
type setup struct {
	spec Spec
	pve  pve.Options
	// least uses a token that may do no more than docs/image-build.md asks for.
	least bool
}

func newBench(t *testing.T, change func(*setup)) *bench {
	t.Helper()
	time.Sleep(time.Until(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC))) // virtual time begins in 2000
	b := &bench{t: t, guests: newEngine(), web: &web{}, log: &bytes.Buffer{}}
	s := setup{
		spec: Spec{
			Installation: "test", VMIDs: VMIDs{9000, 9099}, Runners: VMIDs{200, 299}, Nodes: []string{"pve1", "pve2"},
			Storage: "local-lvm", FilesStorage: "local", ResourcePool: "ci-templates", Bridge: "vmbr0", Cores: 2, Memory: 2 * runner.GiB, Disk: 8 * runner.GiB,
			Keep: 2, Timeout: time.Hour, Fetch: FetchAuto,
		},
		pve: pve.Options{Nodes: []string{"pve1", "pve2"}, Engine: b.guests, Web: b.web, Dir: t.TempDir()},
	}
	if change != nil {
		change(&s)
	}
	b.pve = pve.New(s.pve)
	info := b.pve.Info()
	s.spec.TokenID = info.AdminTokenID
	secret := info.AdminTokenSecret
	if s.least {
		s.spec.TokenID, secret = s.pve.Tokens[0].ID, s.pve.Tokens[0].Secret
	}
	b.calls = &calls{next: b.pve.RoundTripper()}
	var err error
	b.client, err = proxmox.New(proxmox.Options{
		Endpoints: []string{"https://pve1:8006"}, TokenID: s.spec.TokenID, TokenSecret: runner.NewSecret(secret), Transport: b.calls,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.builder, err = New(Options{
		Spec: s.spec, Proxmox: b.client, HTTP: &http.Client{Transport: b.web}, CacheDir: t.TempDir(),
		Scripts: fstest.MapFS{"common/provision.sh": {Data: []byte("#!/bin/sh\n")}, "common/provision.d/10-user.sh": {Data: []byte("#\n")}},
		Logger:  slog.New(slog.NewTextHandler(b.log, nil)), Progress: func(e Event) { b.events = append(b.events, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.pve.Close()
		b.guests.close()
		if t.Failed() {
			t.Logf("log:\n%s", b.log)
		}
	})
	return b
}

// request is a good one.
func request() Request {
	sum := sha256.Sum256(vendorImage())
	return Request{
		Image: "debian-12", Source: &Source{URL: sourceURL, Checksum: Checksum{"sha256", hex.EncodeToString(sum[:])}},
		Release: Release{Version: sampleVersion, SHA256: strings.Repeat("ab", 32), Released: time.Date(2026, 11, 12, 0, 0, 0, 0, time.UTC)},
	}
}

// must builds, and wants that to go well.
func (b *bench) must(r Request) Built {
	b.t.Helper()
	built, err := b.builder.Build(b.t.Context(), r)
	if err != nil {
		b.t.Fatal(err)
	}
	return built
}

// templates gives what List shows, as "version@node", those that are promoted with a star.
func (b *bench) templates() []string {
	b.t.Helper()
	list, err := b.builder.List(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	out := []string{}
	for _, t := range list {
		s := t.Version + "@" + t.Node
		if t.Promoted {
			s += "*"
		}
		out = append(out, s)
	}
	return out
}

func (b *bench) wantTemplates(want ...string) {
	b.t.Helper()
	if got := b.templates(); !slices.Equal(got, append([]string{}, want...)) {
		b.t.Errorf("templates %q, want %q", got, want)
	}
}

// wantClean wants no VM, file or disk but those of the templates listed and what was there from the beginning.
func (b *bench) wantClean() {
	b.t.Helper()
	list, err := b.builder.List(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	known := map[int]bool{}
	for _, t := range list {
		known[t.VMID] = true
	}
	for _, vm := range b.pve.State().VMs {
		if vm.CreatedBy != "" && vm.Status != "destroyed" && !known[vm.VMID] {
			b.t.Errorf("left: VM %d (%s) on %s, %s", vm.VMID, vm.Name, vm.Node, vm.Status)
		}
		if vm.DigestStart != "" && vm.DigestNow != vm.DigestStart {
			b.t.Errorf("VM %d (%s) is not as it was", vm.VMID, vm.Name)
		}
	}
	for _, node := range []string{"pve1", "pve2"} {
		for _, content := range []string{"iso", "import"} {
			files, err := b.client.Volumes(b.t.Context(), node, "local", content)
			if err != nil {
				b.t.Fatal(err)
			}
			for _, f := range files {
				if strings.Contains(f.Name(), "mayfly-build") {
					b.t.Errorf("left: %s on %s", f.ID, node)
				}
			}
		}
	}
	b.guests.mu.Lock()
	defer b.guests.mu.Unlock()
	for id := range b.guests.disks {
		if !known[id] {
			b.t.Errorf("left: the disk of VM %d", id)
		}
	}
	if len(b.guests.on) > 0 {
		b.t.Errorf("left: %d machines run", len(b.guests.on))
	}
}

// wantFailure wants a build to end with an error that says so, and to leave nothing.
func (b *bench) wantFailure(ctx context.Context, r Request, says ...string) error {
	b.t.Helper()
	_, err := b.builder.Build(ctx, r)
	if err == nil {
		b.t.Fatal("it was built")
	}
	for _, words := range says {
		if !strings.Contains(err.Error(), words) {
			b.t.Errorf("%v: want %q in it", err, words)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		b.t.Errorf("more than one line: %v", err)
	}
	return err
}
