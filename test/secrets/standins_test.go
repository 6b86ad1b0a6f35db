package secrets

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
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

// patience is how long anything may take.
const (
	patience = time.Minute
	glance   = 100 * time.Millisecond
)

// standIns are `mayfly sim pve` and `mayfly sim gh`, each a process of its own, with a tap before each.
type standIns struct {
	t              *testing.T
	pve            pve.Info
	gh             gh.Info
	toPVE, toGH    *tap
	fingerprint    string // of what the tap before Proxmox shows
	web            *http.Client
	proxmoxAddress string // HOST:PORT of the stand-in itself
}

// newStandIns starts both; proxmox are more flags of the stand-in of Proxmox. The seed decides their tokens: each test has its own, so that no test finds another's.
func newStandIns(t *testing.T, seed int, proxmox ...string) *standIns {
	t.Helper()
	s := &standIns{t: t, web: &http.Client{
		Timeout: time.Minute,
		// The stand-in is this test's own, on this machine.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}}
	t.Cleanup(s.web.CloseIdleConnections)
	s.start(&s.pve, "pve", seed, proxmox...)
	s.start(&s.gh, "gh", seed)
	s.proxmoxAddress = strings.TrimPrefix(s.pve.URL, "https://")
	var cert *tls.Certificate
	s.toPVE, cert = newTap(t, s.proxmoxAddress, true)
	s.toGH, _ = newTap(t, strings.TrimPrefix(s.gh.APIURL, "http://"), false)
	sum := sha256.Sum256(cert.Certificate[0])
	s.fingerprint = strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
	return s
}

func (s *standIns) start(info any, side string, seed int, more ...string) {
	s.t.Helper()
	args := append([]string{side, "--timing", "demo", "--seed", strconv.Itoa(seed), "--log-level", "error"}, more...)
	process.StandIn(s.t, &process.Journal{}, info, args...)
}

// known are the tokens that exist from the start.
func (s *standIns) known() []needle {
	var all []needle
	all = append(all, token("Proxmox token secret", s.pve.TokenSecret)...)
	all = append(all, token("Proxmox admin's token secret", s.pve.AdminTokenSecret)...)
	return append(all, token("GitHub token", s.gh.Token)...)
}

// minted are the identities and registration tokens that GitHub gave out over the tap, each by itself.
func (s *standIns) minted() (all [][]needle, raw []string) {
	s.t.Helper()
	for _, x := range s.toGH.exchanges() {
		var reply struct {
			Encoded string `json:"encoded_jit_config"`
			Token   string `json:"token"`
			Runner  struct {
				Name string `json:"name"`
			} `json:"runner"`
		}
		if x.method != http.MethodPost || json.Unmarshal([]byte(x.reply), &reply) != nil {
			continue
		}
		switch {
		case reply.Encoded != "":
			all, raw = append(all, identity(s.t, "JIT configuration of "+reply.Runner.Name, reply.Encoded)), append(raw, reply.Encoded)
		case strings.HasSuffix(x.uri, "/registration-token"):
			all, raw = append(all, token("registration token", reply.Token)), append(raw, reply.Token)
		}
	}
	return all, raw
}

// proxmoxState and githubState are what the stand-ins say of themselves.
func (s *standIns) proxmoxState() (st pve.State) {
	s.call(http.MethodGet, s.pve.URL+"/_sim/state", "", nil, &st)
	return st
}

func (s *standIns) githubState() (st gh.State) {
	s.call(http.MethodGet, s.gh.APIURL+"/_sim/state", "", nil, &st)
	return st
}

// queue queues jobs for the runners of the default configuration.
func (s *standIns) queue(count int) {
	s.call(http.MethodPost, s.gh.APIURL+"/_sim/jobs", "", map[string]any{
		"count": count, "labels": []string{"self-hosted", "energyplus"}, "duration_ms": 500,
	}, nil)
}

// fault arms a fault of a stand-in: what, and which requests or tasks.
func (s *standIns) fault(at string, what map[string]any, match map[string]any) {
	what["match"] = match
	s.call(http.MethodPost, at+"/_sim/faults", "", what, nil)
}

// admin calls Proxmox's API as its administrator, past the tap.
func (s *standIns) admin(method, path string, body map[string]any, into any) {
	s.t.Helper()
	reply := struct {
		Data any `json:"data"`
	}{into}
	var payload any
	if body != nil {
		payload = body
	}
	s.call(method, s.pve.URL+"/api2/json"+path, "PVEAPIToken="+s.pve.AdminTokenID+"="+s.pve.AdminTokenSecret, payload, &reply)
}

// call makes a request and wants it to succeed.
func (s *standIns) call(method, url, auth string, body, into any) {
	s.t.Helper()
	process.Call(s.t, s.web, method, url, auth, body, into)
}

// armed is a fault in place.
type armed struct {
	Kind  string `json:"fault"`
	Fired int    `json:"fired"`
}

// faults are those in place at a stand-in.
func (s *standIns) faults(at string) (all []armed) {
	s.call(http.MethodGet, at+"/_sim/faults", "", nil, &all)
	return all
}

// mustHaveStruck wants every fault to have struck, and so many replies to have been spoiled: else the trouble that this is
// about didn't come.
func (s *standIns) mustHaveStruck(spoiled int) {
	s.t.Helper()
	for _, f := range append(s.faults(s.pve.URL), s.faults(s.gh.APIURL)...) {
		if f.Fired == 0 {
			s.t.Errorf("a fault %q never struck", f.Kind)
		}
	}
	n := 0
	for _, x := range append(s.toPVE.exchanges(), s.toGH.exchanges()...) {
		if x.spoiled {
			n++
		}
	}
	if n != spoiled {
		s.t.Errorf("%d replies were spoiled, want %d", n, spoiled)
	}
}
