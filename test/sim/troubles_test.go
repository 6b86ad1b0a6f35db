package sim

import (
	"fmt"
	"time"
)

// troubleEvents are what goes wrong with the world as a whole.
func (w *world) troubleEvents(born time.Time) []event {
	if w.faults == 0 {
		return nil
	}
	var list []event
	at := born.Add(time.Duration(between(60, 900, w.seed, "first trouble")) * time.Second)
	for i := 0; at.Before(w.plan.until.Add(-20 * time.Minute)); i++ {
		switch between(0, 2, w.seed, "trouble", i) {
		case 0:
			list = append(list, w.crash(at, i)...)
		case 1:
			list = append(list, w.freeze(at, i)...)
		case 2:
			list = append(list, w.cancels(at, i)...)
		}
		at = at.Add(time.Duration(between(120, 1800, w.seed, "next trouble", i)) * time.Second)
	}
	return list
}

// crash kills the dispatcher and starts another a while later.
func (w *world) crash(at time.Time, i int) []event {
	back := at.Add(time.Duration(between(1, 180, w.seed, "down", i)) * time.Second)
	return []event{
		{at, "crash", func() {
			if !w.proc.dead() && w.plan.trouble("crash", fmt.Sprint(i)) {
				w.proc.kill()
			}
		}},
		{back, "restart", func() {
			if w.proc.dead() {
				w.proc = w.newProcess()
			}
		}},
	}
}

// freeze suspends the dispatcher's machine; its requests in flight are answered meanwhile.
func (w *world) freeze(at time.Time, i int) []event {
	lasting := time.Duration(between(5, 400, w.seed, "frozen", i)) * time.Second
	return []event{{at, "freeze", func() {
		if !w.proc.dead() && w.plan.trouble("freeze", fmt.Sprint(i)) {
			w.trace.add("process %d freezes", w.proc.gen)
			w.proc.frozen.Store(time.Now().Add(lasting).UnixNano())
		}
	}}}
}

// cancels cancels one of the open jobs.
func (w *world) cancels(at time.Time, i int) []event {
	return []event{{at, "cancel", func() {
		open := w.gh.OpenJobs()
		if len(open) == 0 || !w.plan.trouble("job cancelled", fmt.Sprint(i)) {
			return
		}
		j := open[between(0, len(open)-1, w.seed, "cancelled", i)]
		w.model.cancelled[j.ID] = true
		w.trace.add("job %d cancelled while %s", j.ID, j.Status)
		w.gh.CancelJob(j.ID)
	}}}
}
