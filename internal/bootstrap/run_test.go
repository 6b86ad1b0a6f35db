package bootstrap_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/bootstrap"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
)

// bubble runs a test of a world in virtual time.
func bubble(t *testing.T, o pve.Options, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t, o)) })
}

func TestDispatcherServesInAContainerAndNothingElseIsLeft(t *testing.T) {
	bubble(t, pve.Options{}, func(t *testing.T, w *world) {
		got := w.mustRun(w.spec())
		if diff := cmp.Diff(bootstrap.Result{VMID: 100, Node: "pve1"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.checkClean(100)
		w.mu.Lock()
		defer w.mu.Unlock()
		for name, want := range map[string]string{bootstrap.ProxmoxTokenSecret: pveSecret, bootstrap.GitHubToken: githubSecret} {
			if w.opened[100][name].Reveal() != want {
				t.Errorf("the dispatcher finds no %s", name)
			}
		}
		c := w.pve.State().Containers[0]
		if c.Config["onboot"] != "1" || c.Config["tags"] != bootstrap.TagReady || !strings.Contains(c.Config["mp0"], "mp=/var/lib/private") || c.Pool != "ci" {
			t.Errorf("%+v", c)
		}
		if m, err := runner.ParseDispatcherMarker(c.Config["description"]); err != nil || m.Installation != "ep" || m.VMID != 100 || m.Version != "1.0.0" {
			t.Errorf("%+v, %v", m, err)
		}
		want := []string{
			"look for a dispatcher's container", "look for the container template", "check privileges and storages", "download " + templateURL, "prepare container template",
			"upload local:vztmpl/", "create container 100", "delete local:vztmpl/", "make the state's volume of container 100", "start container 100",
			"wait for the dispatcher in container 100",
		}
		for i, step := range w.steps {
			if i >= len(want) || !strings.HasPrefix(step, want[i]) {
				t.Errorf("step %d: %s", i, step)
			}
		}
	})
}

func TestTheSameAgainDoesNothing(t *testing.T) {
	bubble(t, pve.Options{}, func(t *testing.T, w *world) {
		s := w.spec()
		w.mustRun(s)
		before := len(changes(w))
		got := w.mustRun(s)
		if diff := cmp.Diff(bootstrap.Result{VMID: 100, Node: "pve1", Unchanged: true}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if now := changes(w); len(now) != before {
			t.Errorf("it changes something: %v", now[before:])
		}
		s.Force = true
		if got := w.mustRun(s); got.Replaced != 100 || got.VMID != 101 {
			t.Errorf("by force: %+v", got)
		}
		w.checkClean(101)
	})
}

// changes are the calls so far that only reading doesn't make.
func changes(w *world) []string {
	var list []string
	for _, r := range w.pve.State().Requests {
		if r.Method != http.MethodGet {
			list = append(list, r.Method+" "+r.Path)
		}
	}
	return list
}

// TestEachChangeIsSeen changes one thing after the other.
func TestEachChangeIsSeen(t *testing.T) {
	for name, change := range map[string]func(*bootstrap.Spec){
		"configuration": func(s *bootstrap.Spec) { s.Config = []byte("installation: ep\nmax_runners: 3\n") },
		"file":          func(s *bootstrap.Spec) { s.Files = []bootstrap.File{{Path: "/etc/mayfly/ca.pem", Data: []byte("x")}} },
		"secret":        func(s *bootstrap.Spec) { s.Secrets[bootstrap.GitHubToken] = runner.NewSecret("ghp_rotated") },
		"memory":        func(s *bootstrap.Spec) { s.Container.Memory *= 2 },
		"version":       func(s *bootstrap.Spec) { s.Version = "1.0.1" },
		"address":       func(s *bootstrap.Spec) { s.Container.IP = "192.0.2.6/24" },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, pve.Options{}, func(t *testing.T, w *world) {
				s := w.spec()
				w.mustRun(s)
				change(&s)
				if got := w.mustRun(s); got.Unchanged || got.Replaced != 100 {
					t.Errorf("%+v", got)
				}
				w.checkClean(101)
			})
		})
	}
}

func TestRehearsalShowsEveryCallAndChangesNothing(t *testing.T) {
	bubble(t, pve.Options{}, func(t *testing.T, w *world) {
		s := w.spec()
		w.mustRun(s)
		s.Force, s.Rehearse = true, true
		var lines []string
		w.wrap = rehearse(&lines)
		before := len(changes(w))
		if got := w.mustRun(s); got.VMID != 101 || got.Replaced != 100 {
			t.Errorf("%+v", got)
		}
		w.wrap = nil
		if now := changes(w); len(now) != before {
			t.Errorf("it changes something: %v", now[before:])
		}
		w.checkClean(100)
		shown := strings.Join(lines, "\n")
		if strings.Contains(shown, "AGE-SECRET") || strings.Contains(shown, githubSecret) {
			t.Error("secrets are shown")
		}
		if strings.Contains(shown, "/lxc/100/status/stop") {
			t.Error("the old container is cut off, although it was shut down")
		}
		at := 0
		for _, want := range []string{
			"POST /nodes/pve1/storage/local/upload content=vztmpl filename=mayfly-101-",
			"POST /nodes/pve1/lxc cores=2 description=", " ssh-public-keys=***", "DELETE /nodes/pve1/storage/local/content/local:vztmpl/mayfly-101-",
			"POST /nodes/pve1/lxc/100/status/shutdown", "POST /nodes/pve1/lxc/100/move_volume target-vmid=101 volume=mp0", "POST /nodes/pve1/lxc/101/status/start",
			"PUT /nodes/pve1/lxc/101/config onboot=1", "DELETE /nodes/pve1/lxc/100",
		} {
			i := strings.Index(shown[at:], want)
			if i < 0 {
				t.Fatalf("no %q after %d in\n%s", want, at, shown)
			}
			at += i
		}
	})
}
