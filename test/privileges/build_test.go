package privileges

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"mayfly/internal/image"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
	"mayfly/test/roles"
)

const (
	imageURL       = "http://images.example/debian-12.qcow2"
	runnerVersion  = "2.330.0"
	scriptsLast    = 2 * time.Minute
	buildLingers   = 20 * time.Second
	buildsTimeout  = 10 * time.Minute
	resultFile     = "/run/mayfly-build/result.json"
	progressFile   = "/run/mayfly-build/progress"
	provisionedBit = "/opt/provisioned"
)

// build is mayfly image build, twice on one node, so that the second promotion and the pruning are in it. It works when both
// are built and promoted.
func build(t *testing.T, release int, needs, except []roles.Need) outcome {
	s := onStage(t, release, needs, except, pve.Options{Guest: builtGuest, Web: vendor{}, Dir: t.TempDir()})
	defer s.close()
	builder, err := image.New(image.Options{
		Spec: image.Spec{
			Installation: "exactly", TokenID: tokenID, VMIDs: image.VMIDs{Start: 9010, End: 9099}, Runners: image.VMIDs{Start: 300, End: 319},
			Nodes: []string{node}, Storage: "local-lvm", FilesStorage: "local", ResourcePool: "ci-templates", Bridge: "vmbr0",
			Cores: 2, Memory: 2 * runner.GiB, Disk: 8 * runner.GiB, Keep: 1, Timeout: buildsTimeout, Fetch: image.FetchAuto,
		},
		Proxmox: s.client(), HTTP: &http.Client{Transport: vendor{}}, CacheDir: t.TempDir(), Logger: s.logger(),
		Scripts: fstest.MapFS{"common/provision.sh": {Data: []byte("#!/bin/sh\n")}, "common/provision.d/10-user.sh": {Data: []byte("#\n")}},
		Progress: func(e image.Event) {
			if e.Text != "" {
				_, _ = fmt.Fprintln(s.said, e.Text)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(vendorImage())
	request := image.Request{
		Image: "debian-12", Source: &image.Source{URL: imageURL, Checksum: image.Checksum{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}},
		Release: image.Release{Version: runnerVersion, SHA256: strings.Repeat("ab", 32), Released: time.Date(2026, 11, 12, 0, 0, 0, 0, time.UTC)},
	}
	worked := true
	for range 2 {
		built, err := builder.Build(t.Context(), request)
		s.said.add(err)
		worked = worked && err == nil && built.Promoted
		time.Sleep(time.Hour)
	}
	return s.outcome(worked)
}

// builtGuest is a vendor's image that is provisioned at its first boot, and a runner in clones of that.
func builtGuest(ctx context.Context, g *pve.Guest) {
	if _, done := g.ReadFile(provisionedBit); done {
		g.SetAgent(true)
		g.SetProgram(func([]string, []byte) (int, string, string) {
			return 0, fmt.Sprintf(`{"contract":2,"state":"ready","runner":"","runner_version":%q,"image":"x","job_started":false}`, runnerVersion), ""
		})
		return
	}
	g.SetAgent(true)
	g.WriteFile(progressFile, []byte("==> installs packages\n"))
	if !sleep(ctx, scriptsLast) {
		return
	}
	g.WriteFile(resultFile, []byte(`{"exit_code":0}`))
	g.WriteFile(provisionedBit, nil)
	if sleep(ctx, buildLingers) {
		g.PowerOff()
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// vendorImage is as much of a qcow2 image as Proxmox looks at (QEMU docs/interop/qcow2.txt).
func vendorImage() []byte {
	b := make([]byte, 4096)
	copy(b, "QFI\xfb")
	binary.BigEndian.PutUint32(b[4:], 3)
	binary.BigEndian.PutUint32(b[20:], 16)
	binary.BigEndian.PutUint64(b[24:], uint64(2*runner.GiB))
	return b
}

// vendor serves the image, to nodes and to us.
type vendor struct{}

// RoundTrip implements http.RoundTripper.
func (vendor) RoundTrip(r *http.Request) (*http.Response, error) {
	body := vendorImage()
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)), Request: r,
	}, nil
}
