package fleet_test

import (
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/pve"
)

// The limits of what a runner may cost, at a boot of 15 s.
const (
	// callsPerLife is how many calls may name a runner's VMID or a task of its, in its whole life.
	callsPerLife = 16
	// noticedWithin is how long after its guest is up 95 of 100 runners are known to be.
	noticedWithin = 2 * time.Second
	// githubPerJob is how many calls of GitHub a job may take, beside polling.
	githubPerJob = 3
)

// TestRunnerIsCheap counts what a runner costs both sides, over a queue that keeps the fleet at its limit.
func TestRunnerIsCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const jobs = 120
		ups := &safeBuffer{}
		b := newBench(t, func(s *setup) {
			s.spec.MaxRunners, s.spec.Pools[0].Max = 12, 12
			s.spec.VMIDs.End = 399
			s.guests.Boot = 15 * time.Second
			s.guests.Logger = slog.New(slog.NewTextHandler(ups, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		calls := counter{next: b.gh.RoundTripper()}
		b.through(&calls)
		for range jobs / 6 {
			b.queue(6, 2*time.Minute)
			time.Sleep(45 * time.Second)
		}
		b.served(2 * time.Hour)

		most, lags := 0, []time.Duration{}
		for _, v := range b.pve.VMs() {
			if v.CreatedBy != b.pve.Info().TokenID {
				continue
			}
			named := b.naming(v)
			if len(named) > most {
				most = len(named)
				t.Logf("VM %d: %d calls:\n%s", v.VMID, most, strings.Join(named, "\n"))
			}
			lags = append(lags, b.noticed(v, upAt(t, ups.String(), v)))
		}
		slices.Sort(lags)
		if len(lags) < jobs {
			t.Fatalf("%d runners for %d jobs", len(lags), jobs)
		}
		p95 := lags[len(lags)*95/100]
		perJob := float64(len(calls.other())) / jobs
		t.Logf("at most %d calls name a runner; noticed after %s (median), %s (95 of 100), %s (all); %.2f calls of GitHub per job", most, lags[len(lags)/2], p95, lags[len(lags)-1], perJob)
		if most > callsPerLife {
			t.Errorf("%d calls name one runner, want %d at most", most, callsPerLife)
		}
		if p95 > noticedWithin {
			t.Errorf("95 of 100 are noticed within %s of being up, want %s", p95, noticedWithin)
		}
		if perJob > githubPerJob {
			t.Errorf("%.2f calls of GitHub per job beside polling, want %d at most: %q", perJob, githubPerJob, calls.other()[:12])
		}
	})
}

// naming lists the controller's calls that name the VM or a task of its.
func (b *bench) naming(v pve.VMState) []string {
	state := b.pve.State()
	var upids []string
	for _, task := range state.Tasks {
		// UPID:node:pid:pstart:starttime:type:id:user:
		if fields := strings.Split(task.UPID, ":"); len(fields) > 6 && fields[6] == strconv.Itoa(v.VMID) {
			upids = append(upids, task.UPID)
		}
	}
	var named []string
	for _, r := range state.Requests {
		path, _, _ := strings.Cut(r.Path, "?")
		ofTask := slices.ContainsFunc(upids, func(upid string) bool { return strings.Contains(path, upid) })
		if (r.VMID == v.VMID || r.NewID == v.VMID || ofTask) && r.Token == b.pve.Info().TokenID {
			named = append(named, r.At.Format("04:05.000 ")+r.Method+" "+path)
		}
	}
	return named
}

// upAt is when the VM's agent first answered, as the guests log it.
func upAt(t *testing.T, log string, v pve.VMState) time.Time {
	t.Helper()
	for line := range strings.Lines(log) {
		if strings.Contains(line, `msg="agent answers"`) && strings.Contains(line, "runner="+v.Name+"\n") {
			word, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
			at, err := time.Parse(time.RFC3339Nano, word)
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
	}
	t.Fatalf("VM %d (%s) never came up", v.VMID, v.Name)
	return time.Time{}
}

// noticed is how long after its guest was up the controller knew.
func (b *bench) noticed(v pve.VMState, up time.Time) time.Duration {
	for _, r := range b.pve.Requests() {
		if r.VMID == v.VMID && r.Method == http.MethodPost && strings.HasSuffix(r.Path, "/agent/exec") && r.Status == http.StatusOK {
			return r.At.Add(r.Took).Sub(up)
		}
	}
	return time.Hour
}

// counter keeps the requests that pass.
type counter struct {
	next http.RoundTripper

	mu  sync.Mutex
	all []string
}

// polls are the questions that a poll of the queue asks.
var polls = regexp.MustCompile(`^GET .*/actions/(runs|runs/\d+/(jobs|attempts/\d+/jobs)|runners)$`)

func (c *counter) RoundTrip(req *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.all = append(c.all, req.Method+" "+req.URL.Path)
	c.mu.Unlock()
	return c.next.RoundTrip(req)
}

// other are those that no poll asks.
func (c *counter) other() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.all), polls.MatchString)
}
