//go:build crash

package crash

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"mayfly/test/process"
)

// dispatcher is `mayfly run` over all its starts.
type dispatcher struct {
	*standIns
	t    *testing.T
	env  []string
	args []string
	log  *process.Journal
	run  *process.Process
	last moment // as seen last, for the report of a failure
}

// newDispatcher configures a dispatcher by environment variables alone, set is more of them; of a file only where
// config isn't "". It doesn't start it yet.
func newDispatcher(t *testing.T, s *standIns, config string, set ...string) *dispatcher {
	t.Helper()
	d := &dispatcher{
		standIns: s, t: t, log: &process.Journal{},
		env: process.Environment(append([]string{
			"PROXMOX_URL=" + s.pve.URL,
			"PROXMOX_FINGERPRINT=" + s.pve.Fingerprint,
			"PROXMOX_NODE=" + s.pve.Node,
			"PROXMOX_TOKEN_ID=" + s.pve.TokenID,
			"PROXMOX_TOKEN_SECRET=" + s.pve.TokenSecret,
			"PROXMOX_POOL=" + s.pve.ResourcePool,
			"GITHUB_API_URL=" + s.gh.APIURL,
			"GITHUB_TOKEN=" + s.gh.Token,
			"REPO_URL=https://github.com/" + s.gh.Repository,
			"POLL_INTERVAL=2",
		}, set...)...),
		// A port of its own: many dispatchers run at once, and no variable says the port.
		args: []string{"run", "--listen", "127.0.0.1:0", "--log-level", "debug"},
	}
	if config != "" {
		d.args = append(d.args, "--config", config)
	}
	t.Cleanup(d.report)
	return d
}

// report tells what there is to know of a failure.
func (d *dispatcher) report() {
	if !d.t.Failed() {
		return
	}
	d.t.Logf("left:\n%s", lines(d.last.left()))
	d.t.Logf("the dispatcher's log:\n%s", d.log.Tail(logLines))
	if text := d.standIns.log.Tail(logLines / 4); text != "" {
		d.t.Logf("the stand-ins' log:\n%s", text)
	}
}

// logLines bounds the log in the report of a failure.
const logLines = 400

func (d *dispatcher) start() {
	d.t.Helper()
	d.log.Note("start")
	d.run = process.Start(d.t, process.Options{Env: d.env, Stdout: d.log, Stderr: d.log}, process.Program(), d.args...)
}

// kill is kill -9. It wants the process to have been alive until then.
func (d *dispatcher) kill() {
	d.t.Helper()
	d.mustLive()
	d.run.End(syscall.SIGKILL)
	d.log.Note("kill -9")
}

func (d *dispatcher) mustLive() {
	d.t.Helper()
	if !d.run.Alive() {
		d.t.Fatalf("mayfly run ended by itself: %v", d.run.Wait())
	}
}

// until waits until both sides are as they should be.
func (d *dispatcher) until(what string, ok func(moment) bool) moment {
	d.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		d.last = d.now()
		if ok(d.last) {
			return d.last
		}
		if d.run != nil {
			d.mustLive()
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("waited %s for: %s", patience, what)
		}
		d.pause(pollEvery)
	}
}

// pollEvery is how often the stand-ins are asked, quiet how long nothing may come back when all is over: the dispatcher
// has read both sides several times in that time.
const (
	pollEvery = 200 * time.Millisecond
	quiet     = 5 * time.Second
)

// pause waits, or less when the test ends.
func (d *dispatcher) pause(wait time.Duration) {
	select {
	case <-time.After(wait):
	case <-d.t.Context().Done():
		d.t.FailNow()
	}
}

// untilOver waits until every job is done and nothing is left, and stays so. It returns how it was then, and when.
func (d *dispatcher) untilOver() (moment, time.Time) {
	d.t.Helper()
	over := func(m moment) bool { return len(m.left()) == 0 }
	for {
		d.until("every job is done and nothing is left", over)
		at := time.Now()
		d.pause(quiet)
		if d.last = d.now(); over(d.last) {
			return d.last, at
		}
	}
}

// check fails the test for everything that must never be.
func (d *dispatcher) check(m moment, cancelled []int64, most int) {
	d.t.Helper()
	if wrong := m.wrong(cancelled, most); len(wrong) > 0 {
		d.t.Errorf("%d things are wrong:\n%s", len(wrong), lines(wrong))
	}
}

// row is a line of a table of fixed columns.
func row(cells ...any) string {
	return strings.TrimRight(fmt.Sprintf("%-18s %-53s %12s %12s %5s", cells...), " ") + "\n"
}
