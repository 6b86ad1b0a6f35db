//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// TestSnippetServesAJobAndIsGoneWhenItStarts is the hand-off for templates without a guest agent: user-data in the folder
// of a snippet storage, which Proxmox copies into the VM's cloud-init drive and the guest's own cloud-init reads there.
func TestSnippetServesAJobAndIsGoneWhenItStarts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "snippets")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := newClusterThat(t, image(t, "runner"), pve.Options{SnippetsDir: dir, CloudInitDrive: true, TemplateAgentOff: true})
	steps := append(slices.Clone(jobSteps), gh.StepSpec{Name: "cloud-init", Run: `cat /run/cloud-init/result.json
echo "host $(hostname)"
while [ ! -e /tmp/go ]; do sleep 1; done`})
	id := c.gh.AddJobs(gh.JobSpec{Labels: []string{"self-hosted", "linux", "EnergyPlus"}, Steps: steps})[0]

	w := watch(t, dir)
	env := c.environment(1)
	m := runMayfly(t, buildMayfly(t), env, "--config", snippetConfig(t, dir))
	guest := &machines{t, c.machine, nil, c.dir}
	jobIs(t, guest, c.pve.Info().Template, c.gh, "in_progress")
	wantNoIdentityInGuest(guest, c.fleet()[0].VMID, w.identity())
	guest.sh(c.fleet()[0].VMID, "touch /tmp/go", "")
	c.untilAllIsOver(m, nil)
	m.stop()
	seen := w.stop()

	job := c.gh.State().Jobs[0]
	wantSnippetGone(t, seen, job.RunnerName, job.StartedAt)
	for _, want := range []string{"DataSourceNoCloud [seed=/dev/sr0", `"errors": []`, "Z host " + job.RunnerName + "\n"} {
		if !strings.Contains(job.Log, want) {
			t.Errorf("the job's log lacks %q", want)
		}
	}
	for _, r := range c.pve.State().Requests {
		if strings.Contains(r.Path, "/agent/") {
			t.Errorf("an agent that is off was asked: %s %s", r.Method, r.Path)
		}
	}
	m.wantNoSecrets(env)
	c.wantJobs(map[int64]string{id: "success"})
	c.wantOneJobPerMachine(1)
	c.wantNothingLeft()
	c.wantDecoysUntouched()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left in the snippets folder: %v, %v", left, err)
	}
	if t.Failed() {
		t.Logf("the job's log:\n%s", job.Log)
	}
}

// snippetConfig writes a mayfly.yaml; how to reach both sides comes from the environment.
func snippetConfig(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mayfly.yaml")
	text := fmt.Sprintf(`handoff: snippet
snippets_dir: %q
proxmox: { storage: local }
pools:
  - { name: energyplus, target: %s, labels: [linux, EnergyPlus] }
`, dir, repository)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// wantNoIdentityInGuest looks as root through what is on the guest's disk and in its /run. The engine's agent is there
// whatever Proxmox's option says.
func wantNoIdentityInGuest(m *machines, vmid int, identity string) {
	m.t.Helper()
	if identity == "" {
		m.t.Fatal("no snippet with an identity was seen")
	}
	m.until(vmid, "identity forgotten", func() bool {
		code, _ := m.sh(vmid, "test ! -e /run/mayfly/identity", "")
		return code == 0
	})
	const search = "grep -rlF -f - /run /var /etc /root /home /opt /tmp"
	if code, out := m.sh(vmid, search, identity); code != 1 {
		m.t.Errorf("the identity is in these files of the guest (%d):\n%s", code, out)
	}
	// The search finds what is there, and what can't be removed: the drive, which lives as long as the VM.
	if code, out := m.sh(vmid, "cat >/root/planted; "+search+" </root/planted; rm /root/planted", identity); out != "/root/planted\n" {
		m.t.Errorf("search for a planted identity: %d, %s", code, out)
	}
	if code, out := m.sh(vmid, "grep -qF -f - /dev/sr0", identity); code != 0 {
		m.t.Errorf("the cloud-init drive doesn't hold the identity: %d, %s", code, out)
	}
	if code, out := m.sh(vmid, "setpriv --reuid runner --regid runner --init-groups head -c 1 /dev/sr0", ""); code == 0 {
		m.t.Errorf("a job can read the cloud-init drive: %q", out)
	}
}

// identityForm is where the shipped template puts a JIT configuration.
var identityForm = regexp.MustCompile(`(?s)/run/mayfly-seed/jit\n.*?content: "([^"]+)"`)

// sighting is when a file of the folder was seen first and last, and all the modes that it had.
type sighting struct {
	first, last time.Time
	modes       map[os.FileMode]bool
}

// watcher looks at a folder all the time.
type watcher struct {
	stopped context.CancelFunc
	done    sync.WaitGroup

	mu     sync.Mutex
	seen   map[string]sighting
	secret string // the last snippet's
}

func watch(t *testing.T, dir string) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	w := &watcher{stopped: cancel, seen: map[string]sighting{}}
	w.done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			w.look(dir)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *watcher) look(dir string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	entries, _ := os.ReadDir(dir) // that of a test that has ended is gone
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // gone between the two looks
		}
		s, ok := w.seen[e.Name()]
		if !ok {
			s = sighting{first: time.Now(), modes: map[os.FileMode]bool{}}
		}
		s.last, s.modes[info.Mode()] = time.Now(), true
		w.seen[e.Name()] = s
		if text, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil && identityForm.Match(text) {
			w.secret = string(identityForm.FindSubmatch(text)[1])
		}
	}
}

// identity is the one of the snippet seen last.
func (w *watcher) identity() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.secret
}

// stop ends the watch and gives what was seen.
func (w *watcher) stop() map[string]sighting {
	w.stopped()
	w.done.Wait()
	return w.seen
}

// wantSnippetGone wants the runner's snippet seen, unreadable for others, and gone when the job started.
func wantSnippetGone(t *testing.T, seen map[string]sighting, runner string, started time.Time) {
	t.Helper()
	snippets := 0
	for name, s := range seen {
		for mode := range s.modes {
			if mode != 0o600 {
				t.Errorf("%s had mode %v, want 0600", name, mode)
			}
		}
		if !s.last.Before(started) {
			t.Errorf("%s was still there at %s, the job started at %s", name, s.last, started)
		}
		if strings.HasSuffix(name, "_"+runner+".yaml") && !strings.HasPrefix(name, ".") {
			snippets++
			t.Logf("%s was there for %s and gone %s before the job started", name,
				s.last.Sub(s.first).Round(10*time.Millisecond), started.Sub(s.last).Round(10*time.Millisecond))
		}
	}
	if snippets != 1 {
		t.Errorf("saw %d snippets of %s in %v, want one", snippets, runner, seen)
	}
}
