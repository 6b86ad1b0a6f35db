package gc_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/gc"
	"mayfly/internal/handoff"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// TestWhatADeadDispatcherLeftIsCleanedUp has a dispatcher die with two jobs running, one of which ends soon.
func TestWhatADeadDispatcherLeftIsCleanedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.start()
		s.queue(1, 20*time.Minute)
		s.queue(1, 5*time.Hour)
		s.wait(5*time.Minute, "both run", func() bool { return s.working() == 2 })
		s.halt()
		s.register("energyplus-runner-00000000aa", "self-hosted", "energyplus", "linux", "x64", "mayfly-stage")
		s.register("energyplus-runner-00000000bb", "self-hosted", "energyplus", "linux", "x64", "mayfly-other")
		s.register("print-server", "self-hosted", "printer")
		time.Sleep(20 * time.Minute)
		if list := s.collect(gc.Request{Grace: gc.MinGrace}); len(of(list, gc.VM, gc.Removed)) > 0 {
			t.Errorf("something went within its grace: %+v", list)
		}
		time.Sleep(2 * time.Hour)

		before := s.writes()
		s.register("energyplus-runner-00000000cc", "self-hosted", "energyplus", "linux", "x64", "mayfly-stage")
		before++
		dry := s.collect(gc.Request{DryRun: true})
		if s.writes() != before {
			t.Error("a dry run changes something")
		}
		if len(of(dry, gc.VM, gc.WouldRemove)) != 1 || len(of(dry, gc.Registration, gc.WouldRemove)) != 1 {
			t.Errorf("it would remove something else than one VM and one registration: %+v", dry)
		}
		list := s.collect(gc.Request{})
		if gone := of(list, gc.VM, gc.Removed); len(gone) != 1 || gone[0].Why != "it is powered off" {
			t.Errorf("VMs removed: %+v", gone)
		}
		if gone := of(list, gc.Registration, gc.Removed); len(gone) != 1 || gone[0].Name != "energyplus-runner-00000000cc" {
			t.Errorf("registrations removed: %+v", gone)
		}
		if rogues := of(list, gc.Rogue, gc.Shown); len(rogues) != 1 || rogues[0].Name != "energyplus-runner-00000000bb" {
			t.Errorf("rogues shown: %+v", rogues)
		}
		if s.working() != 1 || len(s.ours()) != 1 {
			t.Errorf("%d jobs run in %d VMs, want one in one", s.working(), len(s.ours()))
		}
		time.Sleep(4 * time.Hour)
		if again := s.collect(gc.Request{}); len(of(again, gc.VM, gc.Removed)) != 1 || len(s.ours()) != 0 {
			t.Errorf("its VM stays when the job is done: %+v", again)
		}
		for _, j := range s.gh.Jobs() {
			if j.Conclusion != "success" {
				t.Errorf("job %+v", j)
			}
		}
		s.untouched()
	})
}

// writes counts what was changed on either side by the tokens of the stage.
func (s *stage) writes() int {
	n := 0
	for _, r := range s.pve.State().Requests {
		if r.Method != http.MethodGet && !strings.Contains(r.Path, "/agent/") {
			n++
		}
	}
	for _, r := range s.gh.State().Requests {
		if r.Login == "mayfly-dispatcher" && r.Method != http.MethodGet {
			n++
		}
	}
	return n
}

// TestBesideADispatcherItTakesNothingAway cleans up all the time while a dispatcher works.
func TestBesideADispatcherItTakesNothingAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.start()
		for i := range 14 {
			s.queue(2, time.Duration(1+11*(i%4))*time.Minute)
			time.Sleep(9 * time.Minute)
			for _, f := range s.collect(gc.Request{Grace: gc.MinGrace}) {
				if f.Outcome != gc.Shown {
					t.Errorf("after %d rounds: %+v", i, f)
				}
			}
		}
		s.wait(4*time.Hour, "all is done", func() bool {
			return !slices.ContainsFunc(s.gh.Jobs(), func(j gh.JobState) bool { return j.Conclusion != "success" }) && len(s.ours()) == 0
		})
		s.untouched()
	})
}

// TestADiskThatADestroyLeftIsRemoved also has the VMID used again meanwhile.
func TestADiskThatADestroyLeftIsRemoved(t *testing.T) {
	for _, tc := range []struct {
		name  string
		token []pve.Token
		want  gc.Outcome
	}{
		{"a token that may", []pve.Token{{ID: "all@pve!gc", Secret: "0e0c3f2a-0000-4000-8000-000000000000", Roles: map[string]string{"/": "Administrator"}}}, gc.Removed},
		{"a token that may not", nil, gc.Left},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, tc.token...)
				s.start()
				s.disks.stuck.Store(true)
				s.queue(1, time.Minute)
				s.wait(10*time.Minute, "its VM is gone", func() bool { return s.working() == 0 && len(s.ours()) == 0 && len(s.pve.VMs()) > 13 })
				s.disks.stuck.Store(false)
				s.halt()
				time.Sleep(20 * time.Minute)
				if list := of(s.collect(gc.Request{}), gc.Disk, tc.want); len(list) > 0 {
					t.Errorf("it went within its grace: %+v", list)
				}
				time.Sleep(time.Hour)
				list := of(s.collect(gc.Request{}), gc.Disk, tc.want)
				if len(list) != 1 || !strings.Contains(list[0].Name, "vm-201-disk-0") {
					t.Fatalf("%s: %+v", tc.want, list)
				}
				left := of(s.collect(gc.Request{}), gc.Disk, tc.want)
				if tc.want == gc.Removed && len(left) > 0 {
					t.Errorf("it is still there: %+v", left)
				}
				if tc.want == gc.Left && (len(left) != 1 || !strings.Contains(left[0].Detail, "pvesm free "+left[0].Name)) {
					t.Errorf("it doesn't say how to remove it: %+v", left)
				}
				s.untouched()
			})
		})
	}
}

// folder is a Files with what a test puts there.
type folder struct {
	files   []handoff.File
	removed []string
}

func (f *folder) Files(context.Context) ([]handoff.File, error) { return f.files, nil }

func (f *folder) Remove(_ context.Context, file handoff.File) error {
	f.removed = append(f.removed, file.Name)
	return nil
}

func TestUserDataWithoutARunnerIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.start()
		s.queue(1, 3*time.Hour)
		s.wait(5*time.Minute, "it runs", func() bool { return s.working() == 1 })
		alive := s.ours()[0].Name
		old, young := time.Now(), time.Now().Add(2*time.Hour)
		time.Sleep(2*time.Hour + time.Minute)
		f := &folder{files: []handoff.File{
			{Name: "mayfly-stage_" + alive + ".iso", Runner: alive, Created: old},
			{Name: "mayfly-stage_ep-00000000aa.iso", Runner: "ep-00000000aa", Created: old},
			{Name: "mayfly-stage_ep-00000000bb.iso", Runner: "ep-00000000bb", Created: young},
		}}
		if dry := of(s.collect(gc.Request{DryRun: true}, f), gc.UserData, gc.WouldRemove); len(dry) != 1 || len(f.removed) > 0 {
			t.Errorf("a dry run removes %v, and would %+v", f.removed, dry)
		}
		s.collect(gc.Request{}, f)
		if !slices.Equal(f.removed, []string{"mayfly-stage_ep-00000000aa.iso"}) {
			t.Errorf("removed %v", f.removed)
		}
	})
}
