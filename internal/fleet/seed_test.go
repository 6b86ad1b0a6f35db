package fleet_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/cloudinit"
	"mayfly/internal/fleet"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/runners"
)

// bySnippet makes a bench whose runners get their identity in user-data.
func bySnippet(t *testing.T, dir, text string, change func(*setup)) *bench {
	t.Helper()
	template, err := cloudinit.Parse("test", text)
	if err != nil {
		t.Fatal(err)
	}
	seeder, err := handoff.NewSnippet(handoff.SnippetOptions{Dir: dir, Storage: "local", Installation: "bench", Template: template})
	if err != nil {
		t.Fatal(err)
	}
	if err := seeder.Check(); err != nil {
		t.Fatal(err)
	}
	return newBench(t, func(s *setup) {
		s.spec.Way, s.spec.WebURL = fleet.WaySnippet, "https://github.example"
		s.seeders = func(*proxmox.Client, *slog.Logger) map[fleet.Way]fleet.Seeder {
			return map[fleet.Way]fleet.Seeder{fleet.WaySnippet: seeder}
		}
		s.pve.SnippetsDir, s.pve.CloudInitDrive = dir, true
		if change != nil {
			change(s)
		}
	})
}

// snippets lists what is in the folder.
func snippets(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestSnippetIsGoneWhenTheJobStarts(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := bySnippet(t, dir, runners.UserDataTemplate, nil)
		b.queue(3, 5*time.Minute)
		b.until(10*time.Minute, "all jobs run", func() bool { return count(b, "in_progress") == 3 })
		if left := snippets(t, dir); len(left) != 0 {
			t.Errorf("still there while jobs run: %v", left)
		}
		b.served(time.Hour)
		for _, v := range b.pve.VMs() {
			if v.Decoy == "" && !v.Template && !strings.HasPrefix(v.Config["cicustom"], "user=local:snippets/mayfly-bench_"+v.Name) {
				t.Errorf("VM %d was started without its user-data: cicustom %q", v.VMID, v.Config["cicustom"])
			}
		}
	})
}

func TestTemplateThatRegistersWithATokenWorksToo(t *testing.T) {
	dir := t.TempDir()
	// As the shipped one, but with a place for the token alone.
	text := strings.ReplaceAll(runners.UserDataTemplate, "${jit_config}", "")
	synctest.Test(t, func(t *testing.T) {
		b := bySnippet(t, dir, text, nil)
		b.queue(2, 5*time.Minute)
		b.served(time.Hour)
		if left := snippets(t, dir); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// TestCrashesLeaveNoSnippet ends the controller at every moment around the writing of the user-data.
func TestCrashesLeaveNoSnippet(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := bySnippet(t, dir, runners.UserDataTemplate, nil)
		b.queue(8, 2*time.Minute)
		for i := range 40 {
			time.Sleep(time.Duration(137*i%1900) * time.Millisecond)
			b.halt()
			b.start("")
		}
		b.served(2 * time.Hour)
		b.until(time.Hour, "the folder is empty", func() bool { return len(snippets(t, dir)) == 0 })
	})
}

func TestAutoChoosesByTheTemplatesAgentAndSaysWhy(t *testing.T) {
	for _, tc := range []struct {
		name string
		off  bool
		way  string
		why  string
	}{
		{"agent on", false, "handoff=agent", "the template's guest agent is on"},
		{"agent off", true, "handoff=snippet", "the template's guest agent is off"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				b := bySnippet(t, dir, runners.UserDataTemplate, func(s *setup) {
					s.spec.Way, s.pve.TemplateAgentOff = fleet.WayAuto, tc.off
				})
				b.queue(2, time.Minute)
				b.served(2 * time.Hour)
				if log := b.log.String(); !strings.Contains(log, tc.way) || !strings.Contains(log, tc.why) {
					t.Errorf("the log doesn't say %s, %s", tc.way, tc.why)
				}
				asked := slices.ContainsFunc(b.pve.Requests(), func(r pve.RequestState) bool { return strings.Contains(r.Path, "/agent/") })
				if asked == tc.off {
					t.Errorf("the guest agent was asked: %t", asked)
				}
			})
		})
	}
}

func TestSnippetNeedsACloudInitDrive(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := bySnippet(t, dir, runners.UserDataTemplate, func(s *setup) { s.pve.CloudInitDrive = false })
		b.gh.AddJobs(gh.JobSpec{Labels: []string{"linux"}})
		b.until(5*time.Minute, "the reason is told", func() bool { return b.reason() == fleet.WaitTemplate })
		if words := b.controller.Status().Waiting[0].Reason.Text; !strings.Contains(words, "no cloud-init drive; on its node: qm set") {
			t.Errorf("reason %q", words)
		}
	})
}

func TestFolderThatIsGoneStopsOnlyWhatNeedsIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mount")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		b := bySnippet(t, dir, runners.UserDataTemplate, nil)
		b.queue(1, 10*time.Minute)
		b.until(10*time.Minute, "it runs", func() bool { return count(b, "in_progress") == 1 })
		if err := os.Rename(dir, dir+".gone"); err != nil {
			t.Fatal(err)
		}
		b.queue(1, time.Minute)
		b.until(10*time.Minute, "readiness says it", func() bool {
			s := b.controller.Status()
			return !s.Ready && strings.Contains(strings.Join(s.Reasons, " "), "SNIPPETS_DIR")
		})
		if err := os.Rename(dir+".gone", dir); err != nil {
			t.Fatal(err)
		}
		b.served(2 * time.Hour)
	})
}

// TestLostRepliesOfUserDataAreAnsweredByDoingItAgain breaks the config change that names the snippet, before and after
// it took effect: the same value twice is no harm.
func TestLostRepliesOfUserDataAreAnsweredByDoingItAgain(t *testing.T) {
	for _, fault := range []pve.FaultSpec{
		{Kind: "reset_after"}, {Kind: "cut_body"}, {Kind: "answer_after", Status: 596}, {Kind: "answer", Status: 596}, {Kind: "answer", Status: 595},
	} {
		t.Run(fmt.Sprintf("%s %d", fault.Kind, fault.Status), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				b := bySnippet(t, dir, runners.UserDataTemplate, nil)
				fault.Match = pve.FaultMatch{Method: http.MethodPut, Path: configs.path, Nth: 2} // the first shapes the clone
				b.arm(fault)
				oneJob(b)
				b.fired()
				b.made(1, 1)
				b.jobsRan()
				if n := b.asked(http.MethodPut, configs.path); n != 3 {
					t.Errorf("the config was changed %d times, want 3", n)
				}
				if left := snippets(t, dir); len(left) != 0 {
					t.Errorf("left: %v", left)
				}
			})
		})
	}
}

// TestLostRegistrationTokenCostsItsVM loses the reply with a registration token. Nobody registers with one that wasn't
// received; GitHub may have made it, so the VM that it was for goes before it was ever started.
func TestLostRegistrationTokenCostsItsVM(t *testing.T) {
	text := strings.ReplaceAll(runners.UserDataTemplate, "${jit_config}", "")
	for _, kind := range []string{"reset_after", "500_after", "502_after", "503_after", "reset_before", "502"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				b := bySnippet(t, dir, text, nil)
				b.armGitHub(gh.FaultSpec{Kind: kind, Match: gh.FaultMatch{Method: http.MethodPost, Path: "**/registration-token"}})
				oneJob(b)
				b.fired()
				b.made(1, 1)
				b.jobsRan()
				if n := b.asked(http.MethodPost, "/repos/*/*/actions/runners/registration-token"); n != 2 {
					t.Errorf("%d registration tokens were asked for, want 2", n)
				}
				if n := b.asked(clones.method, clones.path); n != 2 {
					t.Errorf("%d clones, want 2", n)
				}
				if left := snippets(t, dir); len(left) != 0 {
					t.Errorf("left: %v", left)
				}
			})
		})
	}
}
