//go:build crash

package crash

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// standIns are `mayfly sim pve` and `mayfly sim gh`, each a process of its own.
type standIns struct {
	t   *testing.T
	log *journal
	pve pve.Info
	gh  gh.Info
	web *http.Client
}

func newStandIns(t *testing.T, seed uint64) *standIns {
	t.Helper()
	s := &standIns{t: t, log: &journal{}, web: &http.Client{
		Timeout: time.Minute,
		// The doors are asked at the address that the stand-in itself told, on this machine.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}}
	t.Cleanup(s.web.CloseIdleConnections)
	s.sim("pve", seed, &s.pve)
	s.sim("gh", seed, &s.gh)
	return s
}

// sim starts a stand-in and reads the line in which it says how to reach it.
func (s *standIns) sim(side string, seed uint64, info any) {
	s.t.Helper()
	args := []string{"sim", side, "--listen", "127.0.0.1:0", "--seed", strconv.FormatUint(seed, 10)}
	out := newAnnouncement(s.log)
	p := launch(s.t, "mayfly sim "+side, s.log, out, environment(), args...)
	select {
	case line := <-out.line:
		if err := json.Unmarshal([]byte(line), info); err != nil {
			s.t.Fatalf("mayfly sim %s says %q first: %v", side, line, err)
		}
	case <-p.ended:
		s.t.Fatalf("mayfly sim %s: %v\n%s", side, p.err, s.log.tail(20))
	case <-time.After(beginning):
		s.t.Fatalf("mayfly sim %s says nothing\n%s", side, s.log.tail(20))
	}
}

// moment is what both sides are and were.
type moment struct {
	pve pve.State
	gh  gh.State
}

func (s *standIns) now() moment {
	s.t.Helper()
	var m moment
	// GitHub first: what a VM did at the end of its life is on both sides when the VM is seen gone.
	s.call(http.MethodGet, s.gh.APIURL+"/_sim/state", nil, &m.gh)
	s.call(http.MethodGet, s.pve.URL+"/_sim/state", nil, &m.pve)
	return m
}

// queue queues jobs of the labels that the default pool has, each of one step and some time.
func (s *standIns) queue(count int, lasting time.Duration) {
	s.t.Helper()
	s.call(http.MethodPost, s.gh.APIURL+"/_sim/jobs", map[string]any{
		"count": count, "labels": []string{"self-hosted", "energyplus"}, "duration_ms": lasting.Milliseconds(),
	}, nil)
}

// cancel cancels a job's run, as a user does.
func (s *standIns) cancel(j gh.JobState) {
	s.t.Helper()
	s.call(http.MethodPost, fmt.Sprintf("%s/repos/%s/actions/runs/%d/cancel", s.gh.APIURL, j.Repository, j.RunID), nil, nil)
}

// door is where one stand-in takes faults.
type door struct {
	s   *standIns
	url string
}

func (s *standIns) pveDoor() door { return door{s, s.pve.URL + "/_sim/faults"} }
func (s *standIns) ghDoor() door  { return door{s, s.gh.APIURL + "/_sim/faults"} }

// arm puts a fault in place and returns its number.
func (d door) arm(fault any) int64 {
	d.s.t.Helper()
	var armed struct{ ID int64 }
	d.s.call(http.MethodPost, d.url, fault, &armed)
	return armed.ID
}

// fired reports whether the fault has struck.
func (d door) fired(id int64) bool {
	d.s.t.Helper()
	var faults []struct {
		ID    int64
		Fired int
	}
	d.s.call(http.MethodGet, d.url, nil, &faults)
	for _, f := range faults {
		if f.ID == id {
			return f.Fired > 0
		}
	}
	d.s.t.Fatalf("fault %d is not in place any more", id)
	return false
}

// remove takes the fault away; what it holds goes on.
func (d door) remove(id int64) {
	d.s.t.Helper()
	d.s.call(http.MethodDelete, fmt.Sprintf("%s?id=%d", d.url, id), nil, nil)
}

// call makes a request and wants it to succeed.
func (s *standIns) call(method, url string, body, into any) {
	s.t.Helper()
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, url, payload)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(url, s.gh.APIURL) {
		req.Header.Set("Authorization", "Bearer "+s.gh.Token)
	}
	resp, err := s.web.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, url, err)
	}
	if resp.StatusCode/100 != 2 {
		s.t.Fatalf("%s %s: %s: %s", method, url, resp.Status, text)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(text, into); err != nil {
		s.t.Fatalf("%s %s: %v in %.200s", method, url, err, text)
	}
}
