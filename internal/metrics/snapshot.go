package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/runner"
)

// snapshot tells how the fleet is at the moment when somebody asks.
type snapshot struct {
	sources *atomic.Pointer[Sources]
}

// Describe tells nothing, so that what there is may depend on the moment.
func (*snapshot) Describe(chan<- *prometheus.Desc) {}

// Collect reads the sources.
func (s *snapshot) Collect(to chan<- prometheus.Metric) {
	from := s.sources.Load()
	if from == nil || from.Status == nil {
		return
	}
	out := sink(to)
	out.fleet(from.Status(), time.Now())
	if from.Budget != nil {
		out.budget(from.Budget(), time.Now())
	}
}

// sink is where metrics go.
type sink chan<- prometheus.Metric

func (to sink) put(m Metric, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(prometheus.NewDesc(m.Name, m.Help, m.Labels, nil), prometheus.GaugeValue, value, labels...)
}

func (to sink) fleet(s fleet.Status, now time.Time) {
	to.put(ready, flag(s.Ready))
	to.put(lastPass, timestamp(s.At))
	to.put(standby, flag(s.Standby != ""))
	to.put(rivals, float64(len(s.Rivals)))
	to.put(warnings, float64(len(s.Warnings)))
	to.put(sourceUp, flag(s.Proxmox.OK), fleet.SourceProxmox)
	to.put(sourceUp, flag(s.GitHub.OK), fleet.SourceGitHub)
	to.supply(s)
	to.demand(s, now)
	to.put(maxRunners, float64(s.Capacity.MaxRunners))
	to.put(vmids, float64(s.Capacity.VMIDs))
	to.put(vmidsFree, float64(s.Capacity.VMIDsFree))
	to.put(quarantined, float64(len(s.Quarantine)))
	to.nodes(s)
	to.cordons(s)
	to.put(unclaimed, float64(len(s.Unclaimed)))
	to.put(rogues, float64(len(s.Rogues)))
}

func (to sink) nodes(s fleet.Status) {
	for _, n := range s.Nodes {
		to.put(nodeUp, flag(n.State == fleet.NodeOnline), n.Name)
		to.put(nodeCores, float64(n.CoresTaken), n.Name)
		if n.Memory > 0 {
			to.put(nodeMemory, float64(n.MemoryFree), n.Name)
		}
	}
}

func (to sink) cordons(s fleet.Status) {
	type place struct{ kind, node string }
	counts := map[place]int{}
	for _, c := range s.Cordons {
		counts[place{c.Kind, c.Node}]++
	}
	for p, n := range counts {
		to.put(cordoned, float64(n), p.kind, p.node)
	}
}

func (to sink) supply(s fleet.Status) {
	type kind struct{ pool, state, node string }
	counts := map[kind]int{}
	for _, r := range s.Runners {
		counts[kind{r.Pool, string(r.State), r.Node}]++
	}
	for k, n := range counts {
		to.put(runners, float64(n), k.pool, k.state, k.node)
	}
	for _, p := range s.Pools {
		to.put(poolMax, float64(p.Max), p.Name)
	}
}

func (to sink) demand(s fleet.Status, now time.Time) {
	running, waiting := map[string]int{}, map[string]int{"": 0}
	for _, p := range s.Pools {
		running[p.Name], waiting[p.Name] = 0, 0
	}
	for _, r := range s.Runners {
		if r.State == runner.Busy {
			running[r.Pool]++
		}
	}
	type kind struct{ pool, code string }
	codes := map[kind]int{}
	oldest := now
	for _, w := range s.Waiting {
		waiting[w.Pool]++
		codes[kind{w.Pool, string(w.Reason.Code)}]++
		if w.Since.Before(oldest) {
			oldest = w.Since
		}
	}
	for pool, n := range waiting {
		to.put(demandJobs, float64(n), pool, "waiting")
	}
	for pool, n := range running {
		to.put(demandJobs, float64(n), pool, "running")
	}
	for k, n := range codes {
		to.put(waitingJobs, float64(n), k.pool, k.code)
	}
	to.put(oldestJob, now.Sub(oldest).Seconds())
}

func (to sink) budget(b github.Budget, now time.Time) {
	if b.Limit > 0 {
		to.put(rateLimit, float64(b.Limit))
		to.put(rateLeft, float64(b.Remaining))
		to.put(rateReset, timestamp(b.Reset))
	}
	paused := 0.0
	if b.PausedUntil.After(now) {
		paused = b.PausedUntil.Sub(now).Seconds()
	}
	to.put(githubPaused, paused)
}

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// timestamp is 0 where there is no time yet.
func timestamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
