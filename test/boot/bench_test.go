//go:build bench

package boot

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mayfly/internal/sim/pve/qemu"
	"mayfly/test/page"
)

// What can be chosen: how many rounds (5), which guests (names with blanks between), KVM where it works
// (MAYFLY_BENCH_ACCEL=kvm), and a file that keeps the rounds, to which those of later runs are added.
const (
	roundsVariable = "MAYFLY_BENCH_ROUNDS"
	guestsVariable = "MAYFLY_BENCH_GUESTS"
	accelVariable  = "MAYFLY_BENCH_ACCEL"
	keepVariable   = "MAYFLY_BENCH_KEEP"
)

// compared are the guests, in the table's order.
var compared = []string{
	"stock", "agent", "cloud-init", "network", "initrd", "grub", "kernel", "units", "readahead", "all", "all+mitigations", "floor",
}

// TestBootSpeed measures, and writes the tables into docs/performance.md. It fails only where a guest doesn't get ready.
func TestBootSpeed(t *testing.T) {
	rounds := 5
	if text := os.Getenv(roundsVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("%s=%s: want a number of rounds", roundsVariable, text)
		}
		rounds = n
	}
	names := compared
	if text := os.Getenv(guestsVariable); text != "" {
		names = strings.Fields(text)
	}
	accel := qemu.TCG
	if os.Getenv(accelVariable) == qemu.KVM {
		accel = qemu.KVM
	}
	ims := images(t, names)
	netdev := newLAN(t, shortDir(t))

	kept := readRounds(t, os.Getenv(keepVariable))
	for range rounds {
		round := len(kept)
		this := roundOf{Times: map[string]times{}, Insides: map[string]string{}, Load: page.Load(t)}
		// Each round begins with another guest, so that none is always the one after the machine's pause.
		order := slices.Concat(names[round%len(names):], names[:round%len(names)])
		for _, name := range order {
			look := ""
			if round == 0 && (name == "stock" || name == "all") {
				look = inside
			}
			got, seen, err := bootOnce(t.Context(), ims[name], netdev, accel, look)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			t.Logf("round %d: %-16s agent %5.1f s, ready %5.1f s", round+1, name, got.Agent.Seconds(), got.Ready.Seconds())
			this.Times[name] = got
			if seen != "" {
				this.Insides[name] = seen
			}
		}
		this.Load = max(this.Load, page.Load(t))
		kept = append(kept, this)
		writeRounds(t, os.Getenv(keepVariable), kept)
	}
	report := tables(names, kept, machine(t, accel, kept))
	t.Log("\n" + report)
	if os.Getenv(guestsVariable) == "" {
		page.Write(t, begin, theEnd, report)
	}
}

// inside is what the guest itself says of its boot once that is over.
const inside = `systemctl is-system-running --wait >/dev/null
systemd-analyze time
systemd-analyze critical-chain qemu-guest-agent.service systemd-resolved.service
systemd-analyze blame | head -n 15`

// bootOnce boots a fresh clone until it is ready, and asks it a question then.
func bootOnce(ctx context.Context, im qemu.Image, netdev, accel, question string) (got times, seen string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	g, err := powerOn(ctx, im, netdev, accel, nil)
	if err != nil {
		return got, "", err
	}
	defer func() { _ = g.engine.Close() }()
	if got, err = g.untilReady(ctx); err != nil || question == "" {
		return got, "", err
	}
	seen, err = g.run(ctx, "/bin/sh", "-c", question)
	return got, seen, err
}

// shortDir is a folder whose name leaves room for a socket's, which those that t.TempDir makes do not.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "boot-") //nolint:usetesting // its names are too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}
