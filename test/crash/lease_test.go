//go:build crash

package crash

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	leaseTTL = 15 * time.Second
	// takesOver is the bound that docs/ha.md promises (the ttl and two looks of 2 s), and what two calls and a log line take
	// on a machine with other work.
	takesOver = leaseTTL + 2*2*time.Second + 5*time.Second
	// handsOver is the same for a holder that ends well.
	handsOver   = 2*time.Second + 5*time.Second
	leaseJobs   = 6
	leaseAtOnce = 3
	leaseJob    = 4 * time.Second
)

// turn is one of two dispatchers that take turns on one pair of stand-ins. Each has a token of its own, by which the
// stand-in tells what each has asked.
type turn struct{ *dispatcher }

// takes waits until it has the lease, at most so long, and says how long that took.
func (d turn) takes(term string, bound time.Duration) time.Duration {
	d.t.Helper()
	began := time.Now()
	for !strings.Contains(d.log.String(), `msg="lease taken" mapping=mayfly term=`+term+" ") {
		if time.Since(began) > bound {
			d.t.Fatalf("no lease of term %s within %s", term, bound)
		}
		d.mustLive()
		d.pause(pollEvery / 4)
	}
	return time.Since(began)
}

// signal sends it one without waiting for its end.
func (d turn) signal(sig syscall.Signal) {
	d.t.Helper()
	if err := syscall.Kill(d.run.PID(), sig); err != nil {
		d.t.Fatal(err)
	}
	d.log.Note(sig.String())
}

// changes lists what a token has asked Proxmox to change since then.
func (m moment) changes(token string, since time.Time) []string {
	var list []string
	for _, r := range m.pve.Requests {
		if r.Token == token && r.Method != http.MethodGet && r.At.After(since) {
			list = append(list, r.At.Format(time.TimeOnly)+" "+r.Method+" "+r.Path)
		}
	}
	return list
}

// busy reports whether a fleet is at work: a VM is up, and not every job is done.
func busy(m moment) bool {
	for _, v := range m.ours() {
		if v.Status == "running" {
			return true
		}
	}
	return false
}

func TestTwoDispatchersTakeTurns(t *testing.T) {
	t.Parallel()
	s := newStandIns(t, 1, "--lease", "mayfly")
	lease := []string{"LEASE_ENABLED=true", "LEASE_TTL=" + leaseTTL.String(), "MAX_TOTAL_RUNNERS=3"}
	a := turn{newDispatcher(t, s, "", lease...)}
	b := turn{newDispatcher(t, s, "", append(lease, "PROXMOX_TOKEN_ID="+s.pve.AdminTokenID, "PROXMOX_TOKEN_SECRET="+s.pve.AdminTokenSecret)...)}
	a.start()
	a.takes("1", takesOver)
	b.start()

	// kill -9 in the middle of a fleet.
	s.queue(leaseJobs, leaseJob)
	a.until("the fleet is at work", busy)
	if list := a.last.changes(s.pve.AdminTokenID, time.Time{}); len(list) > 0 {
		t.Errorf("the one that stands by changed something:\n%s", lines(list))
	}
	a.kill()
	t.Logf("taken over %s after kill -9", b.takes("2", takesOver).Round(time.Millisecond))
	m, _ := b.untilOver()
	b.check(m, nil, leaseAtOnce)

	// SIGSTOP in the middle of a fleet, and long after another one has taken over SIGCONT.
	a.start()
	s.queue(leaseJobs, leaseJob)
	b.until("the fleet is at work again", func(m moment) bool { return len(m.left()) > 0 && busy(m) })
	b.signal(syscall.SIGSTOP)
	t.Logf("taken over %s after SIGSTOP", a.takes("3", takesOver).Round(time.Millisecond))
	woken := time.Now()
	b.signal(syscall.SIGCONT)
	m, _ = a.untilOver()
	a.check(m, nil, leaseAtOnce)
	// What was read off the wire before counts as asked before; a renewal that was under way may come right then.
	for _, change := range m.changes(s.pve.AdminTokenID, woken) {
		if !strings.Contains(change, "/cluster/mapping/dir/") {
			t.Errorf("changed after it woke: %s", change)
		}
	}
	b.mustLive()

	// SIGTERM hands over at once.
	a.run.Terminate(t)
	t.Logf("taken over %s after SIGTERM", b.takes("4", handsOver).Round(time.Millisecond))
	s.queue(1, leaseJob)
	m, _ = b.untilOver()
	b.check(m, nil, leaseAtOnce)
	b.run.Terminate(t)
}
