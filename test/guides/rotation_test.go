package guides

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/cli"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

// The tokens before and after the rotation.
const (
	oldGitHub, newGitHub = "github_pat_old0123456789abcdefghij", "github_pat_new0123456789abcdefghij"
	oldProxmox           = "mayfly@pve!dispatcher"
	newProxmox           = "mayfly@pve!dispatcher2"
)

// patience is how long anything may take that the test waits for.
const patience = time.Minute

// TestRotationOfBothTokensLosesNoJob does what docs/tokens.md says: while a job runs, new tokens are made, the dispatcher is
// started anew with them, and the old ones are deleted. The job must end well on the machine on which it began, the next one must
// be served, and the deleted token must be what keeps the old configuration from starting.
func TestRotationOfBothTokensLosesNoJob(t *testing.T) {
	t.Parallel()
	s := readSetup(t, guide(t, setupGuide), "9")
	s.tokens = append(s.tokens, newProxmox)
	proxmox, address := fastCluster(t, s)
	github, api := fastGitHub(t, gh.Options{Token: oldGitHub, Tokens: []gh.TokenSpec{{Token: newGitHub}}})

	env := func(id, token string) []string {
		return []string{
			"PROXMOX_URL=" + address, "PROXMOX_NODE=pve1", "PROXMOX_POOL=ci", "PROXMOX_FINGERPRINT=" + proxmox.Info().Fingerprint,
			"PROXMOX_TOKEN_ID=" + id, "PROXMOX_TOKEN_SECRET_FILE=" + secretFile(t, secretOf(id)),
			"GITHUB_API_URL=" + api, "GITHUB_TOKEN_FILE=" + secretFile(t, token), "POLL_INTERVAL=1",
		}
	}
	job := github.AddJobs(gh.JobSpec{Labels: []string{"self-hosted", "linux"}, Duration: 5 * time.Second})[0]

	first := start(t, env(oldProxmox, oldGitHub))
	wait(t, "the job runs", func() bool { return jobOf(github, job).Status == "in_progress" })
	on := jobOf(github, job).RunnerName
	if code := first.stop(); code != cli.ExitOK {
		t.Fatalf("stopped with exit code %d\n%s", code, first.log)
	}
	github.RevokeToken(oldGitHub)

	second := start(t, env(newProxmox, newGitHub))
	wait(t, "the job ends", func() bool { return jobOf(github, job).Status == "completed" })
	if j := jobOf(github, job); j.Conclusion != "success" || j.RunnerName != on || j.Starts != 1 {
		t.Errorf("the job is %s on %q after %d starts, want success on %q after one", j.Conclusion, j.RunnerName, j.Starts, on)
	}
	next := github.AddJobs(gh.JobSpec{Labels: []string{"self-hosted", "linux"}})[0]
	wait(t, "the next job ends", func() bool { return jobOf(github, next).Conclusion == "success" })
	wait(t, "both VMs are gone", func() bool {
		gone := 0
		for _, vm := range proxmox.State().VMs {
			if vm.Source != 0 && vm.Decoy == "" && vm.DestroyedAt != nil {
				gone++
			}
		}
		return gone == 2
	})
	if code := second.stop(); code != cli.ExitOK {
		t.Fatalf("stopped with exit code %d\n%s", code, second.log)
	}

	third := start(t, env(newProxmox, oldGitHub))
	if code := third.wait(); code != cli.ExitFailure || !strings.Contains(third.log.String(), "GitHub answers 401") {
		t.Errorf("with the deleted token: exit code %d, want %d and what GitHub answers\n%s", code, cli.ExitFailure, third.log)
	}
}

// secretFile writes a secret as the guide says: in a file of its own, 0600.
func secretFile(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func jobOf(s *gh.Server, id int64) gh.JobState {
	jobs := s.State().Jobs
	return jobs[slices.IndexFunc(jobs, func(j gh.JobState) bool { return j.ID == id })]
}

// fastCluster is a stand-in on loopback whose users have what a guide gives them, with guests that boot in no time.
func fastCluster(t *testing.T, s setup) (*pve.Server, string) {
	t.Helper()
	guests := world.NewGuests(world.GuestOptions{Boot: 200 * time.Millisecond, AgentDelay: 100 * time.Millisecond, Shutdown: 50 * time.Millisecond, Linger: 200 * time.Millisecond})
	o := guideOptions(s, guests)
	o.Timing = pve.DemoTiming()
	o.Appliances = []pve.Appliance{{
		Template: "debian-12-standard_12.12-1_amd64.tar.zst",
		Location: "http://download.invalid/debian-12-standard_12.12-1_amd64.tar.zst", SHA512: strings.Repeat("0", 128),
	}}
	server := pve.New(o)
	t.Cleanup(func() {
		server.Close()
		guests.Close()
	})
	return server, "https://" + serve(t, server.Serve)
}

// fastGitHub is a stand-in on loopback that assigns jobs at once.
func fastGitHub(t *testing.T, o gh.Options) (*gh.Server, string) {
	t.Helper()
	o.AssignDelay = 20 * time.Millisecond
	server := gh.New(o)
	t.Cleanup(server.Close)
	api := "http://" + serve(t, server.Serve)
	server.SetAPIURL(api)
	return server, api
}

// serve lets a stand-in answer on loopback and returns its address.
func serve(t *testing.T, with func(net.Listener) error) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = with(l) }()
	return l.Addr().String()
}

// dispatcher is a `mayfly run` in this process.
type dispatcher struct {
	stop func() int
	wait func() int
	log  *journal
}

// start starts one; it ends with the test at the latest.
func start(t *testing.T, env []string, more ...string) dispatcher {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	log := &journal{}
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Main(ctx, append([]string{"run", "--listen", "127.0.0.1:0"}, more...), strings.NewReader(""), io.Discard, log, env)
	}()
	wait := sync.OnceValue(func() int { return <-ended })
	t.Cleanup(func() {
		cancel()
		wait()
	})
	return dispatcher{wait: wait, log: log, stop: func() int {
		cancel()
		return wait()
	}}
}

func wait(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if so() {
			return
		}
	}
	t.Fatalf("waited %s, and it isn't so: %s", patience, what)
}

// journal keeps what a command writes.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}
