//go:build soak

package soak

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// figures are what may grow, when so many jobs were done.
type figures struct {
	done       int
	goroutines int
	files      int
	heap       int // bytes in use after a garbage collection
	stacks     int // bytes
}

// look takes the figures of this process.
func look(t *testing.T, done int) figures {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.GC() // what the first one's finalizers and pools let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return figures{
		done: done, goroutines: runtime.NumGoroutine(), files: len(files) - 1, // the folder itself was open
		heap: int(m.HeapAlloc), stacks: int(m.StackInuse),
	}
}

// quantity is one of the figures, and how much more of it the last thousand may show than the first: a fifth, and what
// chance brings into the middle of a sample.
type quantity struct {
	name  string
	unit  int // what it is shown in
	of    func(figures) int
	slack int
}

func quantities() []quantity {
	return []quantity{
		{"goroutines", 1, func(f figures) int { return f.goroutines }, 10},
		{"open files", 1, func(f figures) int { return f.files }, 5},
		{"heap in use, KiB", 1 << 10, func(f figures) int { return f.heap }, 1 << 20},
		{"stacks, KiB", 1 << 10, func(f figures) int { return f.stacks }, 1 << 19},
	}
}

// bound is the most that the middle of the last sample may be.
func (q quantity) bound(first int) int { return first + first/5 + q.slack }

// compare holds the last thousand jobs against the first, and prints both.
func compare(t *testing.T, seen []figures, jobs int) {
	t.Helper()
	first := between(seen, 0, window)
	last := between(seen, jobs-window, jobs)
	table, grown := side(first, last)
	t.Logf("the first and the last thousand jobs, side by side (middle of %d and %d looks, and the most):\n%s", len(first), len(last), table)
	const fewest = 5
	if len(first) < fewest || len(last) < fewest {
		t.Errorf("%d and %d looks: too few to compare", len(first), len(last))
	}
	for _, g := range grown {
		t.Error(g)
	}
}

// side makes the table, and tells what grew beyond its bound.
func side(first, last []figures) (table string, grown []string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-18s %14s %14s %14s %14s %14s\n", "", "first 1000", "(most)", "last 1000", "(most)", "bound")
	for _, q := range quantities() {
		f, fMost := middle(first, q.of)
		l, lMost := middle(last, q.of)
		fmt.Fprintf(&b, "%-18s %14d %14d %14d %14d %14d\n", q.name, f/q.unit, fMost/q.unit, l/q.unit, lMost/q.unit, q.bound(f)/q.unit)
		if l > q.bound(f) {
			grown = append(grown, fmt.Sprintf("%s: %d in the first thousand, %d in the last; at most %d is flat", q.name, f/q.unit, l/q.unit, q.bound(f)/q.unit))
		}
	}
	return b.String(), grown
}

// between are the figures of when more than from and at most to jobs were done.
func between(seen []figures, from, to int) []figures {
	var out []figures
	for _, f := range seen {
		if f.done > from && f.done <= to {
			out = append(out, f)
		}
	}
	return out
}

func middle(of []figures, value func(figures) int) (median, most int) {
	if len(of) == 0 {
		return 0, 0
	}
	var all []int
	for _, f := range of {
		all = append(all, value(f))
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)-1]
}

func TestGrowthIsSeen(t *testing.T) {
	flat := func(done int) figures { return figures{done, 60, 20, 4 << 20, 1 << 20} }
	for _, tc := range []struct {
		name  string
		spoil func(*figures)
		word  string
	}{
		{"nothing grows", func(*figures) {}, ""},
		{"a goroutine for every hundredth job stays", func(f *figures) { f.goroutines += f.done / 100 }, "goroutines"},
		{"a connection for every hundredth job stays", func(f *figures) { f.files += f.done / 100 }, "open files"},
		{"a KiB for every job stays", func(f *figures) { f.heap += f.done << 10 }, "heap"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var first, last []figures
			for i := 10; i <= window; i += 10 {
				a, b := flat(i), flat(9*window+i)
				tc.spoil(&a)
				tc.spoil(&b)
				first, last = append(first, a), append(last, b)
			}
			_, grown := side(first, last)
			if said := strings.Join(grown, "; "); (said == "") != (tc.word == "") || !strings.Contains(said, tc.word) {
				t.Errorf("seen: %q, want %q", said, tc.word)
			}
		})
	}
}
