package world

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
)

// leaseLost answers every renewal with 404, as GitHub does for a job that is no longer this runner's.
type leaseLost struct{ next http.RoundTripper }

func (l leaseLost) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/renew") {
		return &http.Response{StatusCode: http.StatusNotFound, Body: io.NopCloser(strings.NewReader("{}")), Request: req}, nil
	}
	return l.next.RoundTrip(req)
}

func TestAGuestGivesUpAtItsLimitsAndPowersOff(t *testing.T) {
	for _, tc := range []struct {
		name       string
		lost       bool
		job        bool
		options    []string
		outcome    string
		conclusion string // of the job; "": the guest told none
	}{
		{name: "no job within max-wait", options: []string{"--max-wait", "60"}, outcome: "no_job"},
		{name: "no job within max-life", options: []string{"--max-life", "60"}, outcome: "infrastructure"},
		{name: "job longer than max-life", job: true, options: []string{"--max-life", "60"}, outcome: "cancelled", conclusion: "cancelled"},
		{name: "lease lost", lost: true, job: true, outcome: "infrastructure"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inRoom(t, GuestOptions{}, func(r *room) {
				if tc.lost {
					r.transport = leaseLost{r.transport}
				}
				r.boot(201)
				args := slices.Concat(tc.options, []string{"--jit", "ep-0123456789"})
				if f := r.run(201, r.mint("ep-0123456789"), script, args...); f.Code != 0 {
					t.Fatalf("delivery: %+v", f)
				}
				if tc.job {
					r.gh.AddJobs(gh.JobSpec{Labels: []string{"linux"}, Duration: time.Hour})
				}
				r.powersOff(201, 5*time.Minute)
				text, err := r.ReadFile(201, resultPath)
				var result runner.Result
				if err != nil || json.Unmarshal([]byte(text), &result) != nil || result.Outcome != tc.outcome || result.JobStarted != tc.job {
					t.Errorf("result %s, %v, want outcome %s", text, err, tc.outcome)
				}
				if tc.job {
					if j := r.gh.Jobs()[0]; j.Conclusion != tc.conclusion {
						t.Errorf("job ended %q, want %q", j.Conclusion, tc.conclusion)
					}
				}
			})
		})
	}
}
