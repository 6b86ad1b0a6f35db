package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mayfly/internal/fleet"
)

// shrinkFor bounds the search for a smaller list of faults, in real time.
const shrinkFor = 5 * time.Minute

// shrink looks for as few of the faults as possible that still break the same rule, by leaving out ever smaller parts of
// them (Zeller's ddmin). The world of a seed stays what it is: faults are decided by hash, so that leaving some out brings no
// new ones.
func shrink(faults []string, fails func(only []string) bool, until time.Time) []string {
	for parts := 2; len(faults) > 0; {
		parts = min(parts, len(faults))
		size := (len(faults) + parts - 1) / parts
		smaller := false
		for from := 0; from < len(faults); from += size {
			if time.Now().After(until) {
				return faults
			}
			rest := slices.Delete(slices.Clone(faults), from, min(from+size, len(faults)))
			if fails(rest) {
				faults, parts, smaller = rest, max(parts-1, 2), true
				break
			}
		}
		switch {
		case smaller:
		case parts == len(faults):
			return faults
		default:
			parts *= 2
		}
	}
	return faults
}

// mostShown is how many faults are listed one by one.
const mostShown = 30

// shrunk runs a world that broke a rule with fewer and fewer of its faults.
func shrunk(t *testing.T, res result) string {
	t.Helper()
	rule, runs := res.violations[0].rule, 0
	r := res.run
	r.keep, r.awaited = false, rule
	few := shrink(res.fired, func(only []string) bool {
		runs++
		r.only = slices.Concat(only, []string{""}) // none is a list, too
		again := inBubble(t, r)
		return slices.ContainsFunc(again.violations, func(v violation) bool { return v.rule == rule })
	}, time.Now().Add(shrinkFor))
	shown := few
	if len(few) > mostShown {
		shown = append(slices.Clone(few[:mostShown]), fmt.Sprintf("and %d more", len(few)-mostShown))
	}
	return fmt.Sprintf("%d of its %d faults break rule %q, too (%d runs):\n    %s\nagain with them alone: make sim SEED=%d STORY=%d FAULTS='%s'",
		len(few), len(res.fired), rule, runs, strings.Join(shown, "\n    "), r.seed, int(r.troubled.Minutes()), strings.Join(few, ";")+";")
}

func TestShrinkFindsTheFewThatMatter(t *testing.T) {
	var all []string
	for i := range 100 {
		all = append(all, strconv.Itoa(i))
	}
	runs := 0
	few := shrink(all, func(only []string) bool {
		runs++
		return slices.Contains(only, "17") && slices.Contains(only, "71")
	}, time.Now().Add(time.Minute))
	if !slices.Equal(few, []string{"17", "71"}) || runs > 80 {
		t.Errorf("%v after %d runs, want 17 and 71 within 80", few, runs)
	}
	if none := shrink(all, func([]string) bool { return true }, time.Now().Add(time.Minute)); len(none) != 0 {
		t.Errorf("%v though no fault matters", none)
	}
}

// TestFailingSeedIsShrunk has a dispatcher that makes too many VMs once it was started a second time, in a world with many
// faults: one crash is enough.
func TestFailingSeedIsShrunk(t *testing.T) {
	broken := func(w *world, p *process, o *fleet.Options) {
		if p.gen > 1 { // only a dispatcher that was started again is broken
			overCap(w, p, o)
		}
	}
	change := func(s *settings) {
		busy(s)
		s.runners, s.faults, s.perHour = 2, 30, 100
		s.events = func(w *world, born time.Time) []event { return crash(w, born.Add(6*time.Minute), "early") }
	}
	res := inBubble(t, run{seed: 5, troubled: 20 * time.Minute, broken: broken, change: change, awaited: "caps"})
	if len(res.violations) == 0 || len(res.fired) < 2 {
		t.Fatalf("%d violations, %d faults", len(res.violations), len(res.fired))
	}
	text := shrunk(t, res)
	t.Log(text)
	if !strings.HasPrefix(text, "1 of its") || !strings.Contains(text, "SEED=5") {
		t.Errorf("want one crash and the command that replays it:\n%s", text)
	}
}
