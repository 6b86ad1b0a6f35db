package lease_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/lease"
	"mayfly/internal/proxmox"
)

// poll is how often one that stands by looks with the default ttl; slack is for calls of up to 40 ms each.
const (
	poll  = 2 * time.Second
	slack = 500 * time.Millisecond
)

// pair is a holder and one that stands by.
func pair(t *testing.T) (f *file, to *admissions, holder, standby *contender) {
	f, to = &file{absent: true}, &admissions{}
	holder = contend(t, f, to, "a", 1, nil)
	time.Sleep(lease.DefaultTTL + poll + slack)
	standby = contend(t, f, to, "b", 2, nil)
	time.Sleep(time.Minute)
	t.Cleanup(func() {
		holder.kill()
		standby.kill()
		time.Sleep(time.Minute)
	})
	if who := to.last().who; who != "a" {
		t.Fatalf("%q works, want a", who)
	}
	if s := standby.keeper.Status(); s.Held || s.Holder != "a" || s.Name != "host-a" || !strings.Contains(s.Reason, "process a on host-a holds the lease") {
		t.Fatalf("standby: %+v", s)
	}
	if s := holder.keeper.Status(); !s.Held || s.Reason != "" {
		t.Fatalf("holder: %+v", s)
	}
	return f, to, holder, standby
}

// within waits until somebody works.
func (a *admissions) within(t *testing.T, who string, bound time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	for a.last().who != who {
		if time.Since(began) > bound {
			t.Fatalf("%s does not work within %s; last: %+v", who, bound, a.last())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

func TestStandbyTakesOverWithinTTLAndTwoLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, to, holder, _ := pair(t)
		holder.kill()
		took := to.within(t, "b", lease.DefaultTTL+2*poll+slack)
		if took < lease.DefaultTTL*2/3 {
			t.Errorf("taken over after %s, while a lease may still be used", took)
		}
		t.Logf("taken over %s after kill -9", took)
	})
}

func TestReleaseHandsOverWithinOneLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, to, holder, _ := pair(t)
		holder.stop()
		to.within(t, "b", poll+slack)
		synctest.Wait() // it has ended
		if holder.err != nil {
			t.Error(holder.err)
		}
	})
}

func TestFrozenHolderChangesNothingWhenItWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, to, holder, _ := pair(t)
		holder.freeze(5 * time.Minute)
		to.within(t, "b", lease.DefaultTTL+2*poll+slack)
		time.Sleep(10 * time.Minute)
		if wrong := overlap(to.all()); wrong != "" {
			t.Error(wrong)
		}
		if s := holder.keeper.Status(); s.Held || s.Holder != "b" {
			t.Errorf("the one that woke: %+v", s)
		}
	})
}

func TestHolderThatCannotRenewStopsBeforeAnybodyTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, to, holder, _ := pair(t)
		holder.mu.Lock()
		holder.dead = true // its calls fail, it doesn't know more
		holder.mu.Unlock()
		to.within(t, "b", lease.DefaultTTL+2*poll+slack)
		list := to.all()
		var last, first time.Time
		for _, a := range list {
			if a.who == "a" {
				last = a.at
			}
			if a.who == "b" && first.IsZero() {
				first = a.at
			}
		}
		if first.Sub(last) < lease.DefaultTTL/4 {
			t.Errorf("the first change of b comes %s after the last of a", first.Sub(last))
		}
	})
}

func TestForeignChangesOfTheFileCostNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, to, _, _ := pair(t)
		for range 600 {
			time.Sleep(97 * time.Millisecond)
			f.edit(func(f *file) { f.rest++ })
		}
		list := to.all()
		for _, a := range list {
			if a.term != list[0].term {
				t.Fatalf("%s has taken over", a.who)
			}
		}
	})
}

func TestLostRepliesCostNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, to := &file{absent: true}, &admissions{}
		c := contend(t, f, to, "a", 7, nil)
		time.Sleep(time.Minute)
		first := to.last().term
		c.mu.Lock()
		c.lostWrites = true
		c.mu.Unlock()
		time.Sleep(10 * time.Minute)
		if last := to.last(); last.term != first || time.Since(last.at) > time.Second {
			t.Errorf("the lease was lost with every write's reply, though every read showed it written: last %s ago", time.Since(last.at))
		}
		c.kill()
	})
}

func TestWhatNoWaitingMendsEndsItAtTheStart(t *testing.T) {
	for name, tc := range map[string]struct {
		store lease.Store
		want  string
	}{
		"another installation's": {&fixed{text: "mayfly-lease installation=other holder=x name=y term=1 beat=1 ttl=30s state=held"}, "give each installation a lease.mapping of its own"},
		"no privilege":           {&fixed{err: &proxmox.Error{Kind: proxmox.Permission, Op: "read", Message: "no"}}, "read: no"},
		"no mapping, no privilege to make it": {
			&fixed{err: &proxmox.Error{Kind: proxmox.NotFound}, create: &proxmox.Error{Kind: proxmox.Permission}},
			"pvesh create /cluster/mapping/dir --id m --map node=unused,path=/mayfly-lease",
		},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := lease.New(lease.Options{Store: tc.store, Mapping: "m", Installation: installation, Process: "p"})
			if err != nil {
				t.Fatal(err)
			}
			if err := k.Hold(t.Context(), nil); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want it to say %q", err, tc.want)
			}
		})
	}
}

func TestGuardLetsReadsPassAndClosesWhatItKeeps(t *testing.T) {
	sent := 0
	rt := new(lease.Term).GuardEnded("over", transport(func(*http.Request) (*http.Response, error) {
		sent++
		return &http.Response{Body: http.NoBody}, nil
	}))
	for _, tc := range []struct {
		method string
		passes bool
	}{{http.MethodGet, true}, {http.MethodHead, true}, {http.MethodPost, false}, {http.MethodPut, false}, {http.MethodDelete, false}, {http.MethodPatch, false}} {
		sent = 0
		body := &closing{Reader: strings.NewReader("x")}
		req, err := http.NewRequestWithContext(t.Context(), tc.method, "https://pve1/", body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := rt.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if passed := err == nil; passed != tc.passes || sent == 1 != tc.passes {
			t.Errorf("%s: %v, sent %d", tc.method, err, sent)
		}
		if err != nil && (!errors.Is(err, lease.ErrNotHeld) || !body.closed) {
			t.Errorf("%s: %v, body closed %t", tc.method, err, body.closed)
		}
	}
}
