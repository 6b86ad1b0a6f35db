package bootstrap_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/bootstrap"
	"mayfly/internal/proxmox"
	"mayfly/internal/sim/pve"
)

// speaker is a dispatcher in container 190 whose word a test sets.
type speaker struct {
	t      *testing.T
	server *pve.Server
	log    bytes.Buffer

	mu   sync.Mutex
	word bootstrap.Word
}

// newSpeaker makes the container with an administrator's tag and description, and lets its dispatcher tell its word.
func newSpeaker(t *testing.T, opts pve.Options) *speaker {
	t.Helper()
	opts.MayUpload = true
	s := &speaker{t: t, server: pve.New(opts)}
	ct := container()
	ct.VMID = 190
	c := clientOf(t, s.server)
	creation := ct.Creation("local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst")
	upid, err := c.CreateContainer(t.Context(), "pve1", creation)
	if err == nil {
		err = c.WaitTask(t.Context(), upid)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetContainerConfig(t.Context(), "pve1", 190, map[string]string{"tags": "prod", "description": "ask Jo\nbefore you touch it"}, nil, ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.teller().Run(ctx, func() bootstrap.Word {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.word
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		s.server.Close()
	})
	return s
}

func (s *speaker) teller() bootstrap.Teller {
	return bootstrap.Teller{API: clientOf(s.t, s.server), VMID: 190, Log: slog.New(slog.NewTextHandler(&s.log, nil))}
}

// say sets the word, lets it stand for a time, and counts the requests and changes of that time.
func (s *speaker) say(w bootstrap.Word, while time.Duration) (requests, changes int) {
	s.mu.Lock()
	s.word = w
	s.mu.Unlock()
	before := len(s.server.State().Requests)
	time.Sleep(while)
	synctest.Wait()
	for _, r := range s.server.State().Requests[before:] {
		requests++
		if r.Method == http.MethodPut {
			changes++
		}
	}
	return requests, changes
}

// want wants the container's tags and description.
func (s *speaker) want(tags, description string) {
	s.t.Helper()
	for _, ct := range s.server.State().Containers {
		if ct.VMID == 190 && (ct.Config["tags"] != tags || ct.Config["description"] != description) {
			s.t.Errorf("tags %q, description %q; want %q, %q", ct.Config["tags"], ct.Config["description"], tags, description)
		}
	}
}

const theirs = "ask Jo\nbefore you touch it"

func TestWordIsToldOnceAndLeavesWhatIsForeign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpeaker(t, pve.Options{})
		wantChanges := func(what string, w bootstrap.Word, while time.Duration, want int) {
			t.Helper()
			if _, changes := s.say(w, while); changes != want {
				t.Errorf("%s: changed %d times, want %d", what, changes, want)
			}
		}
		ready, bad := bootstrap.Word{Ready: true}, bootstrap.Word{Reason: "github: no route to\nhost"}
		wantChanges("not ready yet", bad, 20*time.Second, 0)
		wantChanges("ready", ready, 5*time.Second, 1)
		s.want("mayfly-ready;prod", theirs)
		if requests, _ := s.say(ready, 24*time.Hour); requests != 0 {
			t.Errorf("%d requests in a day of nothing new", requests)
		}
		wantChanges("a short trouble", bad, 25*time.Second, 0)
		wantChanges("over", ready, time.Minute, 0)
		wantChanges("a long trouble", bad, time.Minute, 1)
		s.want("mayfly-failed;prod", "mayfly: github: no route to host\n"+theirs)
		total := 0
		for i := range 100 {
			bad.Reason = fmt.Sprintf("github: attempt %d", i)
			_, changes := s.say(bad, 5*time.Second)
			total += changes
			if changes > 0 && i < 50 { // the word before is younger than five minutes
				t.Errorf("reason %d: changed %d times", i, changes)
			}
		}
		if total != 1 {
			t.Errorf("100 reasons in 8 minutes: changed %d times, want once", total)
		}
		wantChanges("over", ready, 5*time.Second, 1)
		s.want("mayfly-ready;prod", theirs)
	})
}

func TestWordOfAnEarlierStartIsNotToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpeaker(t, pve.Options{})
		if err := s.teller().Tell(t.Context(), bootstrap.Word{Ready: true}); err != nil {
			t.Fatal(err)
		}
		if requests, changes := s.say(bootstrap.Word{Ready: true}, time.Hour); changes != 0 || requests != 2 {
			t.Errorf("%d requests, %d changes", requests, changes)
		}
	})
}

func TestMigratedContainerIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpeaker(t, pve.Options{Nodes: []string{"pve1", "pve2"}})
		s.say(bootstrap.Word{Ready: true}, 5*time.Second)
		if err := s.server.Migrate(190, "pve2"); err != nil {
			t.Fatal(err)
		}
		s.say(bootstrap.Word{Reason: "x"}, time.Minute)
		s.want("mayfly-failed;prod", "mayfly: x\n"+theirs)
	})
}

func TestWordIsToldAgainUntilProxmoxTakesIt(t *testing.T) {
	for name, fault := range map[string]pve.FaultSpec{
		"locked":      {Match: pve.FaultMatch{Method: "PUT", Count: 3}, Kind: "answer", Reason: "CT is locked (backup)"},
		"unreachable": {Match: pve.FaultMatch{Path: "/cluster/resources", Count: 3}, Kind: "refuse"},
		"lost":        {Match: pve.FaultMatch{Method: "PUT"}, Kind: "answer_after", Status: 596},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSpeaker(t, pve.Options{})
				if _, err := s.server.Fault(fault); err != nil {
					t.Fatal(err)
				}
				s.say(bootstrap.Word{Ready: true}, 10*time.Minute)
				s.want("mayfly-ready;prod", theirs)
				if n := strings.Count(s.log.String(), "container not marked"); n < 1 || n > 3 {
					t.Errorf("log:\n%s", s.log.String())
				}
			})
		})
	}
}

func TestRefusedTokenIsNotTriedEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpeaker(t, pve.Options{})
		if _, err := s.server.Fault(pve.FaultSpec{
			Match: pve.FaultMatch{Method: "PUT", Count: -1}, Kind: "answer", Status: 403, Reason: "Permission check failed (/vms/190, VM.Config.Options)",
		}); err != nil {
			t.Fatal(err)
		}
		if _, changes := s.say(bootstrap.Word{Ready: true}, 24*time.Hour); changes < 100 || changes > 300 {
			t.Errorf("%d attempts in a day", changes)
		}
		if !strings.Contains(s.log.String(), "VM.Config.Options") {
			t.Errorf("log:\n%s", s.log.String())
		}
	})
}

func TestLastWordIsInsistedOnUnlessTheTokenMayNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpeaker(t, pve.Options{})
		if _, err := s.server.Fault(pve.FaultSpec{Match: pve.FaultMatch{Method: "PUT", Count: 2}, Kind: "answer", Reason: "CT is locked (backup)"}); err != nil {
			t.Fatal(err)
		}
		w := bootstrap.Word{Reason: "list queued jobs: 401 Bad credentials; " + strings.Repeat("ü", 500)}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := s.teller().Insist(ctx, w); err != nil {
			t.Fatal(err)
		}
		first, rest, _ := strings.Cut(s.server.State().Containers[0].Config["description"], "\n")
		if rest != theirs || !strings.HasPrefix(first, "mayfly: list queued jobs: 401 Bad credentials; üü") || !strings.HasSuffix(first, "ü…") || len(first) > 520 {
			t.Errorf("description %q, %q", first, rest)
		}
		if _, changes := s.say(bootstrap.Word{Reason: "x"}, time.Second); changes != 0 {
			t.Errorf("%d changes", changes)
		}

		other := s.teller()
		other.VMID = 191
		began := time.Now()
		if err := other.Insist(ctx, w); err == nil || !strings.Contains(err.Error(), "VM.Audit and VM.Config.Options on /vms/191") {
			t.Errorf("%v", err)
		}
		if time.Since(began) > 20*time.Second {
			t.Error("insists beyond its time")
		}
		if _, err := s.server.Fault(pve.FaultSpec{Match: pve.FaultMatch{Count: -1}, Kind: "answer", Status: 401, Reason: "authentication failure"}); err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		if err := s.teller().Insist(t.Context(), w); !errors.Is(err, proxmox.Unauthorized) || time.Since(began) > 10*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
