//go:build bench

package boot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/test/page"
)

// goal is how much longer than the floor the image with all tricks may take.
const goal = 2.2

// Marks around what the benchmark writes in docs/performance.md.
const (
	begin   = "<!-- make bench-boot writes from here -->\n"
	theEnd  = "<!-- to here -->\n"
	noLoad  = "idle"
	hotLoad = "not idle"
)

// machine says what was measured on.
func machine(t *testing.T, accel string, rounds []roundOf) string {
	t.Helper()
	var load []float64
	for _, r := range rounds {
		load = append(load, r.Load)
	}
	state := noLoad
	if slices.Max(load) > float64(runtime.NumCPU()) {
		state = hotLoad
	}
	return fmt.Sprintf("Measured %s on %s (processors used: %d), %s: load average %.1f to %.1f while it ran. QEMU %s, guests with 1 processor and 1 GiB.",
		time.Now().UTC().Format("2006-01-02"), page.Model(), runtime.NumCPU(), state, slices.Min(load), slices.Max(load), strings.ToUpper(accel))
}

// tables writes the figures: medians, and the median within rounds of what a guest took in units of the floor's time,
// which other work on the machine changes less than it does the times.
func tables(names []string, rounds []roundOf, on string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s Medians of %d rounds, seconds from power-on.\n\n", on, len(rounds))
	b.WriteString("| guest | agent answers | ready | least to most | in a round, against stock | against the floor |\n|---|--:|--:|--:|--:|--:|\n")
	for _, name := range names {
		var agent, ready []time.Duration
		for _, r := range rounds {
			if m, ok := r.Times[name]; ok {
				agent, ready = append(agent, m.Agent), append(ready, m.Ready)
			}
		}
		if ready == nil {
			continue
		}
		fmt.Fprintf(&b, "| %s | %.1f | %.1f | %.1f to %.1f | %s | %s |\n", title(name), median(agent).Seconds(), median(ready).Seconds(),
			slices.Min(ready).Seconds(), slices.Max(ready).Seconds(), ratio(rounds, name, "stock"), ratio(rounds, name, "floor"))
	}
	if r := ratios(rounds, "all", "floor"); r != nil {
		verdict := "kept"
		if medianOf(r) > goal {
			verdict = "missed"
		}
		fmt.Fprintf(&b, "\nThe goal, all tricks in at most %.1f times the floor's time, is %s: %.2f times.\n", goal, verdict, medianOf(r))
	}
	for _, name := range names {
		if text := rounds[0].Insides[name]; text != "" {
			fmt.Fprintf(&b, "\nWhat systemd says of one boot of %s:\n\n```\n%s\n```\n", title(name), strings.TrimSpace(text))
		}
	}
	return b.String()
}

func title(name string) string {
	switch name {
	case "stock", "floor":
		return "**" + name + "**"
	case "all":
		return "**all tricks**"
	case "all+mitigations":
		return "all, and `mitigations`"
	}
	return "`" + name + "` alone"
}

// ratios divides a guest's time to ready by another's of the same round.
func ratios(rounds []roundOf, name, by string) []float64 {
	var all []float64
	for _, r := range rounds {
		m, one := r.Times[name]
		other, two := r.Times[by]
		if one && two {
			all = append(all, m.Ready.Seconds()/other.Ready.Seconds())
		}
	}
	return all
}

func ratio(rounds []roundOf, name, by string) string {
	r := ratios(rounds, name, by)
	if r == nil {
		return ""
	}
	return fmt.Sprintf("%.2f", medianOf(r))
}

func medianOf(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// roundOf is what one round measured.
type roundOf struct {
	Times   map[string]times
	Insides map[string]string // what guests say of their boots
	Load    float64           // the machine's
}

// readRounds gives the rounds of earlier runs; none without a file.
func readRounds(t *testing.T, path string) []roundOf {
	t.Helper()
	text, err := os.ReadFile(path)
	if path == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var rounds []roundOf
	if err := errors.Join(err, json.Unmarshal(text, &rounds)); err != nil {
		t.Fatal(err)
	}
	return rounds
}

func writeRounds(t *testing.T, path string, rounds []roundOf) {
	t.Helper()
	if path == "" {
		return
	}
	text, err := json.MarshalIndent(rounds, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}
