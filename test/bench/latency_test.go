//go:build bench

package bench

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mayfly/internal/demand"
	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/test/page"
)

// Marks around what the benchmark writes in the page.
const (
	begin = "<!-- make bench writes from here -->\n"
	end   = "<!-- make bench writes to here -->\n"
)

const (
	// samples is how many jobs are timed in each fleet.
	samples = 120
	// goal is what 99 of 100 jobs may wait for us.
	goal = 20 * time.Millisecond
	// memoryGoal is what the process may have resident, stand-ins and all.
	memoryGoal = 100 << 20
	// patience ends what hangs.
	patience = time.Minute
)

// sizes are the fleets, by their live runners.
var sizes = []int{10, 100, 1000}

// figures are what a fleet of one size showed.
type figures struct {
	live        int
	waits       []time.Duration // from the reply that shows a job to the request of its clone
	lists, secs float64         // of Proxmox
	resident    int64
}

// TestJobToClone times jobs in fleets of each size and writes the page.
func TestJobToClone(t *testing.T) {
	var all []figures
	for _, live := range sizes {
		t.Run(fmt.Sprintf("%d runners", live), func(t *testing.T) { all = append(all, jobToClone(t, live)) })
	}
	if t.Failed() {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s on %d processors, load average %.2f after it. %d jobs in each fleet, milliseconds.\n\n", time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), page.Load(t), samples)
	b.WriteString("| live runners | median | 99 of 100 | longest | list calls of Proxmox per second | resident, MB |\n|--:|--:|--:|--:|--:|--:|\n")
	for _, f := range all {
		slices.Sort(f.waits)
		fmt.Fprintf(&b, "| %d | %.1f | %.1f | %.1f | %.2f | %d |\n", f.live, ms(f.waits[len(f.waits)/2]), ms(f.waits[len(f.waits)*99/100]), ms(f.waits[len(f.waits)-1]), f.lists/f.secs, f.resident>>20)
	}
	last := all[len(all)-1]
	fmt.Fprintf(&b, "\nThe goals, with %d runners: 99 of 100 jobs within %d ms, %s; under %d MB, %s.\n", last.live, goal.Milliseconds(),
		verdict(last.waits[len(last.waits)*99/100] < goal), memoryGoal>>20, verdict(last.resident < memoryGoal))
	t.Log("\n" + b.String())
	page.Write(t, begin, end, b.String())
}

func verdict(kept bool) string {
	if kept {
		return "kept"
	}
	return "missed"
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func jobToClone(t *testing.T, live int) figures {
	c, h := newCluster(t, live), newHub(t, live)
	controller := newController(t, c, h, live)
	until(t, c, "every runner is known to be busy", func() bool {
		busy := 0
		for _, r := range controller.Status().Runners {
			if r.State == runner.Busy {
				busy++
			}
		}
		return busy == live
	})
	f := figures{live: live}
	lists, began := c.listed(), time.Now()
	for i := range samples {
		run := int64(firstQueued + i)
		h.queue(run)
		var last time.Time
		deadline := time.After(patience)
	wait:
		for {
			select {
			case s := <-h.shown:
				if s.run == run && last.IsZero() {
					last = s.at
				}
			case at := <-c.asked:
				if last.IsZero() {
					select { // both at once
					case s := <-h.shown:
						last = s.at
					default:
						t.Fatal("a clone of no job")
					}
				}
				f.waits = append(f.waits, at.Sub(last))
				break wait
			case <-deadline:
				t.Fatalf("job %d: no clone; status %+v", i, controller.Status().Waiting)
			}
		}
		h.queue(0)
		reads := h.read()
		until(t, c, "the queue is read without it", func() bool { return h.read() >= reads+2 })
		for len(h.shown) > 0 {
			<-h.shown
		}
		c.refuse <- struct{}{}
		time.Sleep(50 * time.Millisecond)
	}
	f.lists, f.secs = float64(c.listed()-lists), time.Since(began).Seconds()
	f.resident = resident(t)
	return f
}

func newController(t *testing.T, c *cluster, h *hub, live int) *fleet.Controller {
	t.Helper()
	pve, err := proxmox.New(proxmox.Options{Endpoints: []string{c.URL}, TokenID: "ci@pve!mayfly", TokenSecret: runner.NewSecret("00000000-0000-0000-0000-000000000000"), Transport: c.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	gh, err := github.New(github.Options{BaseURL: h.URL, Token: runner.NewSecret("token")})
	if err != nil {
		t.Fatal(err)
	}
	target := runner.Target{Owner: owner, Repo: repo}
	spec := fleet.Spec{
		Installation: installation, Node: node, Token: "ci@pve!mayfly", ResourcePool: resourcePool,
		VMIDs: fleet.Range{Start: firstVMID, End: firstVMID + 10*live + 1000}, MaxRunners: live + 10, PollInterval: 200 * time.Millisecond,
		Pools: []runner.Pool{{
			Name: "ep", Target: target, Labels: []string{"energyplus"}, GroupID: 1, NamePrefix: "bench", Template: templateName, Max: live + 10, RunnerUser: "runner",
			BootTimeout: 5 * time.Minute, IdleTimeout: 10 * time.Minute, MaxJobDuration: 6 * time.Hour,
		}},
	}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("BENCH_LOG") != "" {
		log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	controller, err := fleet.New(fleet.Options{
		Spec: spec, Proxmox: pve, GitHub: gh, Demand: demand.NewPoll(gh, spec.Targets(), nil), Handoff: handoff.NewAgent(pve, handoff.AgentOptions{}), Logger: log, Version: "bench",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- controller.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return controller
}

func until(t *testing.T, c *cluster, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.mu.Lock()
			defer c.mu.Unlock()
			t.Fatalf("not within %s: %s; calls that nothing answers:\n%s", patience, what, lines(c.others))
		}
	}
}

// resident is this process's memory, after what nobody needs any more was given back.
func resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
