package lease_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"mayfly/internal/lease"
)

// event is one thing that goes wrong in a run.
type event struct {
	after time.Duration // since the last one
	kind  string
	who   int
	lasts time.Duration
}

func events() *rapid.Generator[[]event] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event {
		return event{
			after: time.Duration(rapid.IntRange(0, 40_000).Draw(t, "after ms")) * time.Millisecond,
			kind:  rapid.SampledFrom([]string{"freeze", "freeze", "freeze", "kill", "stop", "foreign", "foreign", "scribble", "delete", "flaky", "flaky", "calm"}).Draw(t, "kind"),
			who:   rapid.IntRange(0, 3).Draw(t, "who"),
			lasts: time.Duration(rapid.IntRange(1, 90_000).Draw(t, "lasts ms")) * time.Millisecond,
		}
	}), 1, 25)
}

// settles is within what time one of several processes that nothing happens to any more works: a write that hung may land
// 25 s late, a look or a write that was under way is given up after 15 s, then comes the ttl, and two looks.
const settles = 25*time.Second + 15*time.Second + lease.DefaultTTL + 5*time.Second

func TestNoTwoProcessesChangeSomethingAtTheSameTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		count := rapid.IntRange(2, 4).Draw(rt, "contenders")
		script := events().Draw(rt, "events")
		seed := rapid.Uint64().Draw(rt, "seed")
		wrong := ""
		synctest.Test(t, func(t *testing.T) { wrong = play(t, count, script, seed) })
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// play lets it all happen and says what was wrong about it.
func play(t *testing.T, count int, script []event, seed uint64) string {
	f, to := &file{absent: seed%2 == 0}, &admissions{}
	lives := 0
	start := func() *contender {
		lives++
		return contend(t, f, to, fmt.Sprintf("p%d", lives), seed+uint64(lives), nil)
	}
	var all []*contender
	for range count {
		all = append(all, start())
	}
	for _, e := range script {
		time.Sleep(e.after)
		i := e.who % count
		switch c := all[i]; e.kind {
		case "freeze":
			c.freeze(e.lasts)
		case "kill":
			c.kill()
			all[i] = start()
		case "stop":
			c.stop()
			<-c.ended
			all[i] = start()
		case "foreign":
			f.edit(func(f *file) { f.rest++ })
		case "scribble":
			f.edit(func(f *file) { f.text = fmt.Sprintf("somebody's words at %s", time.Now()) })
		case "delete":
			f.edit(func(f *file) { f.absent, f.text = true, "" })
		case "flaky":
			c.flaky(true)
		case "calm":
			c.flaky(false)
		}
	}
	defer func() {
		for _, c := range all {
			c.kill()
		}
		synctest.Wait()
		time.Sleep(time.Minute) // what hangs lands
	}()
	for _, c := range all {
		c.flaky(false)
		c.freeze(0)
	}
	time.Sleep(settles)
	if late := time.Since(to.last().at); late > time.Second {
		return fmt.Sprintf("%s after all was well again nobody works, the last %s ago", settles, late)
	}
	return overlap(to.all())
}

func TestOverlapIsSeen(t *testing.T) {
	a, b, at := new(lease.Term), new(lease.Term), time.Now()
	if overlap([]admission{{at, a, "a"}, {at, a, "a"}, {at, b, "b"}}) != "" {
		t.Error("one after the other is no overlap")
	}
	if overlap([]admission{{at, a, "a"}, {at, b, "b"}, {at, a, "a"}}) == "" {
		t.Error("a came back, and nobody saw it")
	}
}
