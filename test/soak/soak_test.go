//go:build soak

package soak

import (
	"flag"
	"io"
	"testing"
	"time"
)

// jobs is how many jobs go through the controller.
var jobs = flag.Int("soak.jobs", 10_000, "how many jobs to serve, at least 2000")

const (
	window = 1000            // jobs of each of the two samples
	ahead  = 2 * runners     // jobs that wait or run at any time, until the last
	every  = time.Second     // between two looks at the figures
	hung   = 2 * time.Minute // without a single job done
	back   = 5 * time.Second // for what was told to end to have ended
)

func TestTenThousandJobsLeaveNothingBehindInTheProcess(t *testing.T) {
	if *jobs < 2*window {
		t.Fatalf("%d jobs: want %d or more", *jobs, 2*window)
	}
	s := newStandIns(t)
	before := look(t, 0)
	d := newDispatcher(t, s, io.Discard)
	began := time.Now()
	seen := s.serve(d, *jobs)
	took := time.Since(began)
	if err := d.close(); err != nil {
		t.Errorf("controller: %v", err)
	}
	t.Logf("%d jobs in %s, %.1f a second", *jobs, took.Round(time.Second), float64(*jobs)/took.Seconds())
	s.check(*jobs)
	compare(t, seen, *jobs)
	ended(t, before)
}

// serve keeps jobs waiting until so many runners have lived their life, and looks at the figures all the while.
func (s *standIns) serve(d *dispatcher, jobs int) []figures {
	t := s.t
	t.Helper()
	var seen []figures
	queued, last, progress := 0, 0, time.Now()
	for last < jobs {
		if n := min(jobs, last+ahead) - queued; n > 0 {
			s.queue(n)
			queued += n
		}
		select {
		case err := <-d.ended:
			t.Fatalf("the controller ended by itself: %v", err)
		case <-time.After(every):
		}
		if done := int(d.gone.Load()); done > last {
			last, progress = done, time.Now()
		}
		if time.Since(progress) > hung {
			t.Fatalf("no job done for %s, %d before: %+v", hung, last, d.controller.Status())
		}
		if last > 0 && last < jobs {
			seen = append(seen, look(t, last))
		}
	}
	return seen
}

// check wants every job done once, each by a runner of its own, and nothing left of them.
func (s *standIns) check(jobs int) {
	s.t.Helper()
	st := s.results()
	names, wrong := map[string]bool{}, 0
	for _, j := range st.Jobs {
		if j.Conclusion != "success" || j.Starts != 1 || names[j.RunnerName] {
			wrong++
		}
		names[j.RunnerName] = true
	}
	left := 0
	for _, r := range st.Runners {
		if r.RemovedAt.IsZero() {
			left++
		}
	}
	if len(st.Jobs) != jobs || wrong > 0 || left > 0 {
		s.t.Errorf("%d jobs, %d of them not done once by a runner of their own, %d registrations left; want %d, 0, 0", len(st.Jobs), wrong, left, jobs)
	}
}

// ended wants everything that the controller had to have gone with it.
func ended(t *testing.T, before figures) {
	t.Helper()
	deadline := time.Now().Add(back)
	for {
		after := look(t, 0)
		if after.goroutines <= before.goroutines && after.files <= before.files {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("after the controller's end: %d goroutines, %d open files; before its start %d and %d",
				after.goroutines, after.files, before.goroutines, before.files)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}
