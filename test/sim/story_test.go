package sim

import (
	"cmp"
	"slices"
	"time"

	"mayfly/internal/sim/gh"
)

// event is something that the world does by itself at a time.
type event struct {
	at   time.Time
	what string
	do   func()
}

// sampleEvery is how often the dispatcher's own words are compared with the truth.
const sampleEvery = 20 * time.Second

// servedWithin is how long a world may take to come right once nothing goes wrong any more: GitHub holds a dead runner's
// job for 10 minutes and lets go of it then, an orphaned registration is removed after 10 more, a pool waits 5 minutes
// after failures; and the jobs that wait by then have to be done.
const servedWithin = 75 * time.Minute

// story is all that happens in the world, from the first start of the dispatcher to the end.
func (w *world) story() {
	born := time.Now()
	w.sleepUntil(born)
	w.log.secrets = []string{w.secrets.github, w.secrets.proxmox, identityMark}
	w.revive()
	events := slices.Concat(w.jobEvents(born), w.troubleEvents(born))
	if w.events != nil {
		events = append(events, w.events(w, born)...)
	}
	for at := born.Add(sampleEvery); at.Before(w.plan.until); at = at.Add(sampleEvery) {
		events = append(events, event{at, "sample", w.sample})
	}
	for at := born.Add(repairEvery); at.Before(w.plan.until); at = at.Add(repairEvery) {
		events = append(events, event{at, "repairs", w.adminRepairs})
	}
	slices.SortStableFunc(events, func(a, b event) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.what, b.what))
	})
	for _, e := range events {
		w.sleepUntil(e.at)
		if w.caught() {
			return
		}
		w.supervise()
		w.turnTo()
		e.do()
	}
	w.sleepUntil(w.plan.until)
	w.trace.add("nothing goes wrong any more")
	w.gh.ClearFaults(0)
	w.gh.WithdrawNext(0)
	w.pve.ClearFaults(0)
	w.endQuietTroubles()
	for v, tries := w.pick("", taken), 0; v != nil && tries < 100; v, tries = w.pick("", taken), tries+1 {
		w.adminEnds(v, true)
		w.sleepUntil(time.Now().Add(sampleEvery))
	}
	if w.idle+w.spares > 0 {
		w.nobodyWaits()
	}
	w.revive()
	limit := time.Now().Add(servedWithin + w.backlog())
	for !w.quiet() && (time.Now().Before(limit) || w.onlyHungLeft() && time.Now().Before(w.plan.until.Add(hungFor))) {
		w.sleepUntil(time.Now().Add(sampleEvery))
		w.supervise()
		w.adminRepairs()
		w.sample()
	}
	w.sleepUntil(time.Now().Add(time.Minute))
	w.finish(w.quiet())
}

// nobodyWaits starts the dispatcher anew with pools that keep no runners without a job.
func (w *world) nobodyWaits() {
	w.endAll()
	for i := range w.spec.Pools {
		w.spec.Pools[i].MinIdle, w.spec.Pools[i].BootedSpares = 0, 0
	}
}

func taken(v *machine) bool { return !v.taken.IsZero() }

// sleepUntil waits until an instant that is the story's own, and until what the story set in motion before, and ends at that
// instant, has ended.
func (w *world) sleepUntil(at time.Time) {
	time.Sleep(onSlot(time.Now(), max(time.Until(at), 1), actorSlot))
	w.conductor.settle("story")
}

// backlog is how long the jobs that wait now take at least, with time to spare.
func (w *world) backlog() time.Duration {
	n := len(w.gh.OpenJobs())
	life := w.lasting*2 + w.boot + 2*time.Minute
	return time.Duration(n/max(1, w.runners*2/(w.pools+1))+1) * life * 2
}

// hungFor is how long a guest that hangs may be left, when a dispatcher that was started since can't know that its job is over:
// until the limit of a job, counted from when the VM was made.
const hungFor = maxJob + 30*time.Minute

// onlyHungLeft reports whether nothing is left but VMs of bad guests.
func (w *world) onlyHungLeft() bool {
	if len(w.gh.OpenJobs()) > 0 || w.gh.RunnersLeft() > 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.model.vms {
		if !w.model.badGuests[v.name] || v.gen == w.gen {
			return false
		}
	}
	return true
}

// quiet reports whether all jobs are done and nothing of ours is left on either side.
func (w *world) quiet() bool {
	return len(w.gh.OpenJobs()) == 0 && w.gh.RunnersLeft() == 0 && w.model.left() == 0
}

// supervise starts the dispatcher anew when it has ended by itself, as systemd would.
func (w *world) supervise() {
	for _, p := range []*process{w.proc, w.other} {
		if p == nil || p.dead() {
			continue
		}
		select {
		case err := <-p.ended:
			w.trace.add("process %d ended by itself", p.gen)
			w.log.Write([]byte("process ended: " + errText(err) + "\n"))
			p.ended <- err
			p.kill()
			w.revive()
		default:
		}
	}
}

func errText(err error) string {
	if err == nil {
		return "without an error"
	}
	return err.Error()
}

// jobEvents are the jobs of the world: bursts of some at a time.
func (w *world) jobEvents(born time.Time) []event {
	var list []event
	end := w.plan.until.Add(-time.Minute)
	at := born.Add(time.Duration(between(1, 30, w.seed, "first job")) * time.Second)
	for i := 0; at.Before(end); i++ {
		count := 1
		if chance(w.seed, "burst", i) < 0.15 {
			count = between(2, max(2, w.runners), w.seed, "burst size", i)
		}
		spec := gh.JobSpec{
			Count: count, Labels: []string{"self-hosted", poolName(between(0, w.pools-1, w.seed, "pool", i))},
			Duration: time.Duration(float64(w.lasting) * (0.3 + 1.4*chance(w.seed, "lasting", i))).Truncate(grid),
			Fail:     chance(w.seed, "fails", i) < 0.05,
		}
		list = append(list, event{at, "job", func() {
			w.jobs += spec.Count
			w.trace.add("jobs %v", w.gh.AddJobs(spec))
		}})
		gap := float64(count) / w.perHour * 3600 * 2 * chance(w.seed, "gap", i)
		at = at.Add(time.Duration(gap*1000) * time.Millisecond)
	}
	return list
}
