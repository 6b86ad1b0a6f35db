package sim

import (
	"context"
	"slices"
	"strconv"
	"time"
)

// trouble is something that goes wrong with the world as a whole, from at on.
type trouble func(w *world, at time.Time, object string) []event

// troubles are all there are.
var troubles = []trouble{
	crash, crash, freeze, reload, cancel, crashLoop, outageOfProxmox, outageOfGitHub, adminStops, adminDestroys, adminTakesOver, adminTakesOver,
}

// troubleEvents are what goes wrong with this world.
func (w *world) troubleEvents(born time.Time) []event {
	if w.faults == 0 {
		return nil
	}
	var list []event
	at := born.Add(time.Duration(between(60, 900, w.seed, "first trouble")) * time.Second)
	for i := 0; at.Before(w.plan.until.Add(-5 * time.Minute)); i++ {
		all := slices.Concat(troubles, nodeTroubles, adminTroubles, workerTroubles, clusterTroubles, vmidTroubles, githubTroubles)
		t := all[between(0, len(all)-1, w.seed, "trouble", i)]
		list = append(list, t(w, at, strconv.Itoa(i))...)
		at = at.Add(time.Duration(between(60, 900, w.seed, "next trouble", i)) * time.Second)
	}
	return list
}

// crash kills the dispatcher and starts another a while later.
func crash(w *world, at time.Time, object string) []event {
	back := at.Add(time.Duration(between(1, 180, w.seed, "down", object)) * time.Second)
	return []event{
		{at, "crash", func() {
			if !w.proc.dead() && w.plan.trouble("crash", object) {
				w.proc.kill()
			}
		}},
		{back, "restart", func() {
			w.revive()
		}},
	}
}

const (
	// loopEvery is how long a dispatcher lives in a crash loop, and loopFor how long that goes on.
	loopEvery = 20 * time.Second
	loopFor   = 18 * time.Minute
	// loopSettles is when the runners of before the loop are used up.
	loopSettles = 3 * time.Minute
)

// crashLoop kills the dispatcher every 20 s and starts it again at once.
func crashLoop(w *world, at time.Time, object string) []event {
	if at.Add(loopFor).After(w.plan.until) || w.lease {
		return nil
	}
	on := false
	var waiting map[int64]bool
	list := []event{{at, "crash loop", func() {
		on = w.plan.trouble("crash loop", object)
	}}, {at.Add(loopSettles), "crash loop settles", func() { waiting = w.unassigned() }}}
	for t := at.Add(loopEvery); t.Before(at.Add(loopFor)); t = t.Add(loopEvery) {
		list = append(list, event{t, "crash in a loop", func() {
			if on {
				if !w.proc.dead() {
					w.proc.kill()
				}
				w.proc = w.newProcess()
			}
		}})
	}
	return append(list, event{at.Add(loopFor), "end of a crash loop", func() {
		// A ghost keeps its place, and its job, longer than the loop lasts.
		if on && w.hindered.Before(at) && len(waiting) > 0 && sameKeys(waiting, w.unassigned()) && w.goodPlaces() > 0 {
			w.violated("progress", "of %d jobs that waited none has got a runner in %s of crashes every %s", len(waiting), loopFor-loopSettles, loopEvery)
		}
	}})
}

// unassigned are the jobs that no runner has.
func (w *world) unassigned() map[int64]bool {
	out := map[int64]bool{}
	for _, j := range w.gh.OpenJobs() {
		if j.Status == "queued" && j.Runner == "" {
			out[j.ID] = true
		}
	}
	return out
}

// sameKeys reports whether all of a are in b.
func sameKeys(a, b map[int64]bool) bool {
	for id := range a {
		if !b[id] {
			return false
		}
	}
	return true
}

// freeze suspends the dispatcher's machine; its requests in flight are answered meanwhile.
func freeze(w *world, at time.Time, object string) []event {
	lasting := time.Duration(between(5, 400, w.seed, "frozen", object)) * time.Second
	return []event{{at, "freeze", func() {
		if !w.proc.dead() && w.plan.trouble("freeze", object) {
			w.trace.add("process %d freezes", w.proc.gen)
			w.proc.frozen.Store(time.Now().Add(lasting).UnixNano())
		}
	}}}
}

// reload gives the dispatcher a configuration by which one of its pools makes VMs of another shape, keeps other numbers of
// them warm and may be served first.
func reload(w *world, at time.Time, object string) []event {
	return []event{{at, "reload", func() {
		p := w.working()
		if p == nil || !w.plan.trouble("configuration reloaded", object) {
			return
		}
		w.mu.Lock()
		w.spec.Pools = slices.Clone(w.spec.Pools)
		pool := &w.spec.Pools[between(0, w.pools-1, w.seed, "reloaded", object)]
		pool.Cores = between(2, 4, w.seed, "cores", object)
		pool.Priority = between(0, 1, w.seed, "priority", object)
		if w.idle > 0 {
			pool.MinIdle = between(0, w.idle, w.seed, "idle", object)
		}
		next := w.spec
		w.mu.Unlock()
		w.trace.add("process %d gets %d cores for %s", p.gen, pool.Cores, pool.Name)
		ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
		defer cancel()
		_ = p.c.Reload(ctx, next) // one that is frozen misses it; the next process begins with it
	}}}
}

// cancel cancels one of the open jobs.
func cancel(w *world, at time.Time, object string) []event {
	return []event{{at, "cancel", func() {
		open := w.gh.OpenJobs()
		if len(open) == 0 || !w.plan.trouble("job cancelled", object) {
			return
		}
		j := open[between(0, len(open)-1, w.seed, "cancelled", object)]
		w.model.cancelled[j.ID] = true
		w.trace.add("job %d cancelled while %s", j.ID, j.Status)
		w.gh.CancelJob(j.ID)
	}}}
}

// outageOfProxmox has nobody answer at Proxmox's address for up to 20 minutes.
func outageOfProxmox(w *world, at time.Time, object string) []event {
	return outage(w, toProxmox, kindRefused, at, between(20, 1200, w.seed, "outage", object), object)
}

// outageOfGitHub has GitHub's API answer 502 for up to an hour. Its runners' own service goes on.
func outageOfGitHub(w *world, at time.Time, object string) []event {
	return outage(w, toGitHub, kind502, at, between(20, 3600, w.seed, "outage", object), object)
}

func outage(w *world, side string, how kind, at time.Time, seconds int, object string) []event {
	name := "outage of " + side
	return []event{{at, name, func() {
		if w.plan.trouble(name, object) {
			w.outage(side, how, time.Duration(seconds)*time.Second)
		}
	}}}
}

// outages are the sides that don't answer.
type outages map[string]outageState

type outageState struct {
	how         kind
	since, till time.Time
}

func (w *world) outage(side string, how kind, lasting time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace.add("%s is out for %s", side, lasting)
	w.out[side] = outageState{how, time.Now(), time.Now().Add(min(lasting, time.Until(w.plan.until)))}
	w.hinders(lasting)
}

// hinders notes that a trouble may keep every new runner from being made for so long, so that none is missed in a crash loop.
func (w *world) hinders(lasting time.Duration) {
	if till := time.Now().Add(lasting); till.After(w.hindered) {
		w.hindered = till
	}
}

// goodPlaces is how many runners there may be beside those that bad guests keep.
func (w *world) goodPlaces() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.runners
	for _, v := range w.model.vms {
		if w.model.badGuests[v.name] {
			n--
		}
	}
	return n
}
