//go:build e2e

package e2e

import (
	"bytes"
	"context"
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

// image builds the guest of that name, or finds it in the cache.
func image(t *testing.T, name string) qemu.Image {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "run", "./test/guest", name)
	cmd.Dir = root
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("build %s guest: %v\n%s", name, err, complaint.String())
	}
	im, err := qemu.LoadImage(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return im
}
