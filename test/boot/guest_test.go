//go:build bench

package boot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/pve/qemu"
)

// root is the checkout, seen from this folder.
const root = "../.."

const (
	vmid = 201
	// patience is for one boot, on a machine that has other work.
	patience = 5 * time.Minute
	// pause is between two looks at a command in the guest.
	pause = 30 * time.Millisecond
)

// images builds guests, or finds them in the cache.
func images(t *testing.T, names []string) map[string]qemu.Image {
	t.Helper()
	args := []string{"run", "./test/guest"}
	for _, name := range names {
		args = append(args, "boot-"+name)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("build guests: %v\n%s", err, complaint.String())
	}
	found := map[string]qemu.Image{}
	for i, dir := range strings.Fields(string(out)) {
		im, err := qemu.LoadImage(dir)
		if err != nil {
			t.Fatal(err)
		}
		found[names[i]] = im
	}
	return found
}

// guest is a VM that boots.
type guest struct {
	engine *qemu.Engine
	on     time.Time // power
}

// powerOn starts a fresh clone.
func powerOn(ctx context.Context, im qemu.Image, netdev, accel string, seed *pve.CloudInit) (*guest, error) {
	engine, err := qemu.New(ctx, qemu.Options{Image: im, Netdev: netdev, Accel: accel})
	if err != nil {
		return nil, err
	}
	if err := engine.Clone(ctx, 0, vmid, false, func(string) {}); err != nil {
		_ = engine.Close()
		return nil, err
	}
	g := &guest{engine: engine, on: time.Now()}
	if err := engine.Start(ctx, pve.Machine{VMID: vmid, CloudInit: seed}); err != nil {
		_ = engine.Close()
		return nil, err
	}
	return g, nil
}

// times are from power-on.
type times struct {
	Agent time.Duration // the guest agent answers
	Ready time.Duration // and run-once.sh --probe says that all is there
}

// untilReady waits for it.
func (g *guest) untilReady(ctx context.Context) (times, error) {
	var t times
	for {
		out, err := g.run(ctx, "/opt/actions-runner/run-once.sh", "--probe")
		if err != nil {
			return t, err
		}
		if t.Agent == 0 {
			t.Agent = time.Since(g.on)
		}
		var probe struct{ Route, DNS, Listener bool }
		if err := json.Unmarshal([]byte(out), &probe); err != nil {
			return t, fmt.Errorf("read probe %q: %w", out, err)
		}
		if probe.Route && probe.DNS && probe.Listener {
			t.Ready = time.Since(g.on)
			return t, nil
		}
		if err := sleep(ctx, pause); err != nil {
			return t, err
		}
	}
}

// run runs a program in the guest, and gives what it prints; it waits for the agent, too.
func (g *guest) run(ctx context.Context, path string, args ...string) (string, error) {
	if args == nil {
		args = []string{}
	}
	request, err := json.Marshal(map[string]any{"path": path, "arg": args, "capture-output": true})
	if err != nil {
		return "", err
	}
	reply, err := g.engine.Agent(ctx, vmid, "guest-exec", request)
	if err != nil {
		return "", fmt.Errorf("%w; console:\n%s", err, g.engine.Console(vmid))
	}
	for {
		status, err := g.engine.Agent(ctx, vmid, "guest-exec-status", reply)
		if err != nil {
			return "", err
		}
		var s struct {
			Exited bool   `json:"exited"`
			Out    []byte `json:"out-data"`
		}
		if err := json.Unmarshal(status, &s); err != nil {
			return "", err
		}
		if s.Exited {
			return string(s.Out), nil
		}
		if err := sleep(ctx, pause); err != nil {
			return "", err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
