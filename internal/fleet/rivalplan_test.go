package fleet

import (
	"testing"
	"time"

	"mayfly/internal/runner"
)

// process is one that began so long before noon.
func process(id string, before time.Duration) runner.Process {
	return runner.Process{ID: id, Started: noon.Add(-before)}
}

// made gives the observation a VM that the process made so long before noon.
func (o observed) made(vmid int, by runner.Process, before time.Duration) {
	m := runner.Marker{Installation: "test", Runner: runner.NewName("ep"), VMID: vmid, Pool: "ep", Created: noon.Add(-before), Process: by}
	o.supply.vms[vmid] = vm{id: vmid, node: "pve1", name: m.Runner, status: "running", inPool: "ci", marker: m, configured: true, readAt: noon}
	o.supply.taken[vmid] = true
}

// TestWhoIsARival has this process begin an hour before noon.
func TestWhoIsARival(t *testing.T) {
	me := process("me", time.Hour)
	for _, tc := range []struct {
		name    string
		by      runner.Process
		before  time.Duration // the marker's time
		rival   bool
		standby bool
	}{
		{"our own", me, time.Minute, false, false},
		{"an earlier life's", process("old", 2*time.Hour), 90 * time.Minute, false, false},
		{"an earlier life's last", process("old", 2*time.Hour), time.Hour, false, false},
		{"one that began before and goes on", process("old", 2*time.Hour), time.Minute, true, true},
		{"one that began later", process("new", 30*time.Minute), time.Minute, true, false},
		{"one that began with us, the smaller id", process("aa", time.Hour), time.Minute, true, true},
		{"one that began with us, the greater id", process("zz", time.Hour), time.Minute, true, false},
		{"one of before markers told, made before", runner.Process{}, 2 * time.Hour, false, false},
		{"one of before markers told, made now", runner.Process{}, time.Minute, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, o := testSpec(), world(job(1, "linux"))
			o.ledger.process = me
			o.made(201, tc.by, tc.before)
			o.ledger.absorbRivals(s, o.supply)
			o.ledger.absorbSupply(s, o.supply)
			rivals := o.ledger.rivalsNow(s, noon)
			if (len(rivals) > 0) != tc.rival {
				t.Errorf("rivals %+v, want one: %v", rivals, tc.rival)
			}
			if left := o.ledger.left(s, o.ledger.runners[201], noon); left != tc.rival {
				t.Errorf("its runner is left to it: %v, want %v", left, tc.rival)
			}
			d := plan(s, o, noon)
			if standby := d.waiting[0].Reason.Code == WaitStandby; standby != tc.standby {
				t.Errorf("the job waits with %s, want standby: %v", d.waiting[0].Reason.Code, tc.standby)
			}
			s.alone = true
			o.ledger.rivals = map[string]*rival{}
			if o.ledger.absorbRivals(s, o.supply); len(o.ledger.rivals) > 0 {
				t.Error("a lease is held, and yet there are rivals")
			}
		})
	}
}

// TestARivalIsGoneWhenItShowsNothingNew: its old markers are no news, however often they are seen.
func TestARivalIsGoneWhenItShowsNothingNew(t *testing.T) {
	s, o := testSpec(), world(job(1, "linux"))
	o.ledger.process = process("me", time.Hour)
	o.made(201, process("old", 2*time.Hour), time.Minute)
	gone := noon.Add(s.Timing.RivalGone)
	for at := noon; at.Before(gone); at = at.Add(time.Second) {
		o.supply.at, o.queue.at, o.queue.demand.At = at, at, at
		o.ledger.absorbRivals(s, o.supply)
		o.ledger.absorbSupply(s, o.supply)
		d := plan(s, o, at)
		if d.waiting[0].Reason.Code != WaitStandby || len(d.actions) > 0 {
			t.Fatalf("after %s: %s, actions %+v", at.Sub(noon), d.waiting[0].Reason.Code, d.actions)
		}
		if !d.again.Equal(gone) {
			t.Fatalf("it plans again at %s, want %s", d.again, gone)
		}
	}
	o.supply.at, o.queue.at, o.queue.demand.At = gone, gone, gone
	o.ledger.absorbRivals(s, o.supply)
	d := plan(s, o, gone)
	if d.waiting[0].Reason.Code == WaitStandby {
		t.Error("it stands by for ever")
	}
	if o.ledger.left(s, o.ledger.runners[201], gone) {
		t.Error("the runner that it left isn't taken over")
	}
}

// TestTheEarlierShowsItselfThoughTheLimitIsReached makes one runner beyond it, and only one.
func TestTheEarlierShowsItselfThoughTheLimitIsReached(t *testing.T) {
	s, o := testSpec(), world(job(1, "linux"), job(2, "linux"))
	s.MaxRunners = 2
	o.ledger.process = process("me", time.Hour)
	for vmid := 201; vmid <= 202; vmid++ {
		o.made(vmid, process("new", 30*time.Minute), time.Minute)
	}
	o.ledger.absorbRivals(s, o.supply)
	o.ledger.absorbSupply(s, o.supply)
	if d := plan(s, o, noon); len(d.actions) != 1 || d.actions[0].step != StepClone {
		t.Errorf("actions %+v, want one clone", d.actions)
	}
	o.ledger.lastMade = noon
	if d := plan(s, o, noon); len(d.actions) != 0 {
		t.Errorf("it has shown itself, and makes more: %+v", d.actions)
	}
}

// TestStandingByItFinishesItsOwnRunners: what it made itself it sees to its end.
func TestStandingByItFinishesItsOwnRunners(t *testing.T) {
	s, o := testSpec(), world()
	o.ledger.process = process("me", time.Hour)
	o.made(201, process("old", 2*time.Hour), time.Minute)
	own := o.with(202, "ep", runner.Busy)
	own.stopped = noon
	o.ledger.absorbRivals(s, o.supply)
	o.ledger.absorbSupply(s, o.supply)
	d := plan(s, o, noon)
	if len(d.actions) != 1 || d.actions[0].step != StepDestroy || d.actions[0].vmid != 202 {
		t.Errorf("actions %+v, want the end of VM 202 alone", d.actions)
	}
}
