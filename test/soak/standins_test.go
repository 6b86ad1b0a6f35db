//go:build soak

package soak

import (
	"net/http"
	"testing"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/test/process"
)

// standIns are `mayfly sim pve` and `mayfly sim gh`, each a process of its own.
type standIns struct {
	t   *testing.T
	pve pve.Info
	gh  gh.Info
}

func newStandIns(t *testing.T) *standIns {
	t.Helper()
	s := &standIns{t: t}
	log := &process.Journal{}
	t.Cleanup(func() {
		if said := log.String(); said != "" {
			t.Logf("the stand-ins said:\n%s", said)
		}
	})
	process.StandIn(t, log, &s.pve, "pve", "--timing", "demo", "--log-level", "error")
	// The controller asks thirty times as often as one would ask GitHub.
	process.StandIn(t, log, &s.gh, "gh", "--timing", "demo", "--rate-limit", "1000000000", "--log-level", "error")
	return s
}

// queue queues jobs that last a moment.
func (s *standIns) queue(count int) {
	s.t.Helper()
	s.call(http.MethodPost, s.gh.APIURL+"/_sim/jobs", map[string]any{
		"count": count, "labels": []string{"self-hosted", "soak"}, "duration_ms": 20,
	}, nil)
}

// results are the jobs and registrations that GitHub's stand-in knows.
func (s *standIns) results() gh.State {
	s.t.Helper()
	var st gh.State
	s.call(http.MethodGet, s.gh.APIURL+"/_sim/state", nil, &st)
	return st
}

func (s *standIns) call(method, url string, body, into any) {
	s.t.Helper()
	// A connection of its own, which is closed at once: it must not be among the controller's open files.
	web := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	process.Call(s.t, web, method, url, "", body, into)
}
