//go:build bench

package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// goal is how much longer than the floor the image with all tricks may take.
const goal = 2.2

// Marks around what the benchmark writes in docs/performance.md.
const (
	page    = "docs/performance.md"
	begin   = "<!-- make bench-boot writes from here -->\n"
	theEnd  = "<!-- to here -->\n"
	noLoad  = "idle"
	hotLoad = "not idle"
)

// machine says what was measured on.
func machine(t *testing.T, accel string, load []float64) string {
	t.Helper()
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	state := noLoad
	if slices.Max(load) > float64(runtime.NumCPU()) {
		state = hotLoad
	}
	return fmt.Sprintf("Measured %s on %s, %d processors, %s: load average %.1f to %.1f while it ran. QEMU %s, guests with 1 processor and 1 GiB.",
		time.Now().UTC().Format("2006-01-02"), model, runtime.NumCPU(), state, slices.Min(load), slices.Max(load), strings.ToUpper(accel))
}

// tables writes the figures: medians, and the median within rounds of what a guest took in units of the floor's time,
// which other work on the machine changes less than it does the times.
func tables(names []string, measured map[string][]times, insides map[string]string, on string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s Medians of %d rounds, seconds from power-on.\n\n", on, len(measured[names[0]]))
	b.WriteString("| guest | agent answers | ready | least to most | in a round, against stock | against the floor |\n|---|--:|--:|--:|--:|--:|\n")
	for _, name := range names {
		var agent, ready []time.Duration
		for _, m := range measured[name] {
			agent, ready = append(agent, m.agent), append(ready, m.ready)
		}
		fmt.Fprintf(&b, "| %s | %.1f | %.1f | %.1f to %.1f | %s | %s |\n", title(name), median(agent).Seconds(), median(ready).Seconds(),
			slices.Min(ready).Seconds(), slices.Max(ready).Seconds(), ratio(measured, name, "stock"), ratio(measured, name, "floor"))
	}
	if r := ratios(measured, "all", "floor"); r != nil {
		verdict := "kept"
		if medianOf(r) > goal {
			verdict = "missed"
		}
		fmt.Fprintf(&b, "\nThe goal, all tricks in at most %.1f times the floor's time, is %s: %.2f times.\n", goal, verdict, medianOf(r))
	}
	for _, name := range names {
		if text := insides[name]; text != "" {
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
func ratios(measured map[string][]times, name, by string) []float64 {
	var all []float64
	for i, m := range measured[by] {
		if i < len(measured[name]) {
			all = append(all, measured[name][i].ready.Seconds()/m.ready.Seconds())
		}
	}
	return all
}

func ratio(measured map[string][]times, name, by string) string {
	r := ratios(measured, name, by)
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

// write puts the report between the page's marks.
func write(t *testing.T, report string) {
	t.Helper()
	path := filepath.Join(root, page)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, closed := strings.Cut(rest, theEnd)
	if !ok || !closed {
		t.Fatalf("%s has no %q and %q", page, begin, theEnd)
	}
	if err := os.WriteFile(path, []byte(head+begin+report+theEnd+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}
