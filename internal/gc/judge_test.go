package gc

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mayfly/internal/handoff"
)

func TestEveryVMIsJudged(t *testing.T) {
	ready, silent := handoff.Guest{State: handoff.Ready}, errors.New("no answer")
	working := handoff.Guest{State: handoff.Delivered, JobStarted: true}
	for _, tc := range []struct {
		name    string
		facts   facts
		outcome Outcome
		confirm bool
	}{
		{"young and off", facts{age: 59 * time.Minute, status: "stopped"}, "", false},
		{"off", facts{status: "stopped"}, Removed, false},
		{"off, and GitHub out", facts{status: "stopped", unread: silent}, Removed, false},
		{"off, and GitHub says busy", facts{status: "stopped", registered: true, busy: true}, Removed, false},
		{"left by a killed clone", facts{status: "stopped", lock: "clone"}, Left, false},
		{"left by a killed removal", facts{status: "stopped", lock: "destroyed"}, Left, false},
		{"being backed up", facts{status: "stopped", lock: "backup"}, Kept, false},
		{"of an unknown state", facts{}, Kept, false},
		{"runs, and GitHub out", facts{status: "running", unread: silent}, Kept, false},
		{"with a job", facts{status: "running", registered: true, online: true, busy: true}, "", false},
		{"with a job for ever", facts{status: "running", registered: true, online: true, busy: true, age: 1000 * time.Hour}, "", false},
		{"idle", facts{status: "running", registered: true, online: true}, "", false},
		{"idle for longer than any lives", facts{status: "running", registered: true, online: true, age: 12 * time.Hour}, Removed, false},
		{"offline", facts{status: "running", registered: true}, Removed, true},
		{"a spare", facts{status: "running", guest: ready}, Kept, false},
		{"a spare for ever", facts{status: "running", guest: ready, age: 1000 * time.Hour}, Kept, false},
		{"a job that GitHub has lost", facts{status: "running", guest: working}, Kept, false},
		{"a ghost", facts{status: "running", guest: handoff.Guest{State: handoff.Delivered}}, Removed, true},
		{"done", facts{status: "running", guest: handoff.Guest{State: handoff.Done, JobStarted: true}}, Removed, false},
		{"deaf", facts{status: "running", deaf: silent}, Kept, false},
		{"deaf for longer than any lives", facts{status: "running", deaf: silent, age: 12 * time.Hour}, Removed, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.facts.age == 0 {
				tc.facts.age = 2 * time.Hour
			}
			tc.facts.most = 6 * time.Hour
			got := judge(tc.facts, time.Hour)
			if got.outcome != tc.outcome || got.confirm != tc.confirm {
				t.Errorf("%+v, want %q, look again: %v", got, tc.outcome, tc.confirm)
			}
			if (got.why == "") != (got.outcome == "") {
				t.Errorf("outcome %q with the reason %q", got.outcome, got.why)
			}
		})
	}
}

// TestNothingYoungOrBusyIsJudgedUseless draws whatever can be known of a VM.
func TestNothingYoungOrBusyIsJudgedUseless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maybe := func(what string) error {
			if rapid.Bool().Draw(t, what) {
				return errors.New(what)
			}
			return nil
		}
		f := facts{
			age:        time.Duration(rapid.Int64Range(0, int64(300*time.Hour)).Draw(t, "age")),
			status:     rapid.SampledFrom([]string{"running", "stopped", "", "unknown"}).Draw(t, "status"),
			lock:       rapid.SampledFrom([]string{"", "clone", "backup", "migrate"}).Draw(t, "lock"),
			registered: rapid.Bool().Draw(t, "registered"), online: rapid.Bool().Draw(t, "online"), busy: rapid.Bool().Draw(t, "busy"),
			unread: maybe("GitHub unread"), deaf: maybe("deaf"), most: 6 * time.Hour,
			guest: handoff.Guest{State: rapid.SampledFrom([]handoff.State{handoff.Ready, handoff.Delivered, handoff.Done}).Draw(t, "guest"), JobStarted: rapid.Bool().Draw(t, "started")},
		}
		if judge(f, time.Hour).outcome != Removed {
			return
		}
		running := f.status == "running"
		switch {
		case f.age < time.Hour:
			t.Fatalf("it is younger than the grace: %+v", f)
		case f.lock != "":
			t.Fatalf("it is locked: %+v", f)
		case running && f.busy:
			t.Fatalf("it has a job: %+v", f)
		case running && !f.registered && f.deaf == nil && f.guest.State == handoff.Ready:
			t.Fatalf("it may get an identity: %+v", f)
		case running && !f.registered && f.deaf == nil && f.guest.State == handoff.Delivered && f.guest.JobStarted:
			t.Fatalf("a job runs in it: %+v", f)
		case running && f.unread != nil:
			t.Fatalf("nobody knows whether it has a job: %+v", f)
		}
	})
}
