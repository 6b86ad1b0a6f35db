//go:build crash

package crash

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/test/process"
)

// standIns are `mayfly sim pve` and `mayfly sim gh`, each a process of its own.
type standIns struct {
	t   *testing.T
	log *process.Journal
	pve pve.Info
	gh  gh.Info
	web *http.Client
}

// newStandIns starts both; proxmox are more flags of the stand-in of Proxmox.
func newStandIns(t *testing.T, seed uint64, proxmox ...string) *standIns {
	t.Helper()
	s := &standIns{t: t, log: &process.Journal{}, web: &http.Client{
		Timeout: time.Minute,
		// The doors are asked at the address that the stand-in itself told, on this machine.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}}
	t.Cleanup(s.web.CloseIdleConnections)
	more := []string{"--listen", "127.0.0.1:0", "--seed", strconv.FormatUint(seed, 10)}
	process.StandIn(t, s.log, &s.pve, append(append([]string{"pve"}, more...), proxmox...)...)
	process.StandIn(t, s.log, &s.gh, append([]string{"gh"}, more...)...)
	return s
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

// images are the ISO images of the dispatcher's that are on the storage.
func (s *standIns) images() []string {
	s.t.Helper()
	var reply struct {
		Data []struct{ Volid string }
	}
	process.Call(s.t, s.web, http.MethodGet, s.pve.URL+"/api2/json/nodes/"+s.pve.Node+"/storage/local/content?content=iso",
		"PVEAPIToken="+s.pve.AdminTokenID+"="+s.pve.AdminTokenSecret, nil, &reply)
	var names []string
	for _, v := range reply.Data {
		if strings.HasPrefix(v.Volid, "local:iso/mayfly-") {
			names = append(names, v.Volid)
		}
	}
	return names
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

// call makes a request of a door, or of GitHub with its token, and wants it to succeed.
func (s *standIns) call(method, url string, body, into any) {
	s.t.Helper()
	auth := ""
	if strings.HasPrefix(url, s.gh.APIURL) {
		auth = "Bearer " + s.gh.Token
	}
	process.Call(s.t, s.web, method, url, auth, body, into)
}
