//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"mayfly/internal/sim/pve/qemu"
)

// root is the checkout, seen from this folder.
const root = "../.."

// accel is tried once for all tests: where KVM hangs that takes seconds.
var accel = sync.OnceValue(func() string {
	im, err := qemu.FindImage("tiny")
	if err != nil {
		return qemu.TCG
	}
	return qemu.ProbeAccel(context.Background(), im)
})

// shortDir is a folder whose name is short enough for sockets in it, which those that t.TempDir makes are not.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-") //nolint:usetesting // its names are too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// image builds the guest of that name, or finds it in the cache.
func image(t *testing.T, name string) qemu.Image {
	t.Helper()
	im, err := qemu.LoadImage(guestDir(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// guestDir is the folder of the guest of that name.
func guestDir(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "run", "./test/guest", name)
	cmd.Dir = root
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("build %s guest: %v\n%s", name, err, complaint.String())
	}
	return strings.TrimSpace(string(out))
}
