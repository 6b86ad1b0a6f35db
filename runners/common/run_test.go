package common_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	runs      = `echo "2026-11-24 10:00:00Z: Running job: build"`
	succeeded = `echo "2026-11-24 10:00:09Z: Job build completed with result: Succeeded"`
)

func completed(result string) string {
	return fmt.Sprintf(`echo "2026-11-24 10:00:09Z: Job build completed with result: %s"`, result)
}

func TestEveryEndOfTheListenerHasItsOutcome(t *testing.T) {
	for _, tc := range []struct {
		name    string
		act     []string
		code    int
		outcome string
		started bool
		starts  int
	}{
		{"job succeeded", []string{runs, succeeded, "exit 0"}, 0, "succeeded", true, 1},
		{"job succeeded with issues", []string{runs, completed("SucceededWithIssues")}, 0, "succeeded", true, 1},
		{"job failed", []string{runs, completed("Failed"), "exit 0"}, 0, "failed", true, 1},
		{"job cancelled", []string{runs, completed("Canceled"), "exit 0"}, 0, "cancelled", true, 1},
		{"job abandoned", []string{runs, completed("Abandoned"), "exit 0"}, 0, "infrastructure", true, 1},
		{"listener lost during the job", []string{runs, "exit 1"}, 1, "infrastructure", true, 1},
		{"listener killed during the job", []string{runs, "kill -KILL $$"}, 137, "infrastructure", true, 1},
		{"result as exit code", []string{runs, "exit 102"}, 102, "failed", true, 1},
		{"cancelled as exit code", []string{runs, "exit 103"}, 103, "cancelled", true, 1},
		{"never a job", []string{"exit 0"}, 0, "no_job", false, 1},
		{"terminated", []string{"exit 1"}, 1, "infrastructure", false, 1},
		{"session conflict", []string{"exit 5"}, 5, "infrastructure", false, 1},
		{"no longer accepted", []string{"exit 7"}, 7, "deprecated", false, 1},
		{"retryable for ever", []string{"exit 2"}, 2, "infrastructure", false, 10},
		{"retryable, then a job", []string{`[ "$n" -ge 2 ] || exit 2`, runs, succeeded}, 0, "succeeded", true, 3},
		{"updating, then a job", []string{`[ "$n" -ge 2 ] || exit $((n + 3))`, runs, succeeded}, 0, "succeeded", true, 3},
		{"retryable after the job", []string{runs, succeeded, "exit 2"}, 2, "succeeded", true, 1},
		{"retryable during the job", []string{runs, "exit 2"}, 2, "infrastructure", true, 1},
		{"job named like a result", []string{
			`echo "2026-11-24 10:00:00Z: Running job: Job x completed with result: Succeeded"`, "exit 1",
		}, 1, "infrastructure", true, 1},
		{"job named like a start", []string{`echo "2026-11-24 10:00:00Z: said Running job: x"`, "exit 0"}, 0, "no_job", false, 1},
		{"result without newline", []string{runs, `printf '2026-11-24 10:00:09Z: Job a b completed with result: Failed'`}, 0, "failed", true, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newSandbox(t, []string{"/bin/sh"})
			b.act(tc.act...)
			before := time.Now().Add(-time.Second).Truncate(time.Second)
			b.deliver()
			b.untilOff()
			got := b.result()
			if got.Runner != name || got.ExitCode != tc.code || got.Outcome != tc.outcome || got.JobStarted != tc.started {
				t.Errorf("result %+v, want exit code %d, outcome %s, job started %v", got, tc.code, tc.outcome, tc.started)
			}
			if got.StartedAt.Before(before) || got.FinishedAt.Before(got.StartedAt) || got.FinishedAt.After(time.Now()) {
				t.Errorf("times %v to %v", got.StartedAt, got.FinishedAt)
			}
			if n := len(b.calls("Runner.Listener")); n != tc.starts {
				t.Errorf("the listener was started %d times, want %d", n, tc.starts)
			}
		})
	}
}

func TestOneJobInEveryShell(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.write("opt/actions-runner/.path", "/tools/bin:/usr/bin:/bin", 0o644)
		b.act(`[ "$n" -ge 1 ] || exit 2`, runs, succeeded, "exit 0")
		b.deliver()
		b.untilOff()
		if got := b.result(); got.Outcome != "succeeded" {
			t.Errorf("result %+v", got)
		}
		calls := b.calls("Runner.Listener")
		if len(calls) != 2 {
			t.Fatalf("the listener was started %d times, want 2", len(calls))
		}
		for key, want := range map[string]string{
			"args": "run", "jit": identity, "token": "", "deprecated": "1", "path": "/tools/bin:/usr/bin:/bin",
			"proxy": "http://proxy:3128", "umask": "0022",
		} {
			if got := calls[1][key]; got != want {
				t.Errorf("%s %q, want %q", key, got, want)
			}
		}
		if got := strings.Fields(calls[1]["user"]); got[0] != b.user || (b.user == "nobody" && strings.Contains(calls[1]["user"], "root")) {
			t.Errorf("ran as %q, want %s", got, b.user)
		}
		if calls[1]["home"] == "" || strings.HasPrefix(calls[1]["home"], "~") {
			t.Errorf("home %q", calls[1]["home"])
		}
		// A job that can't be interrupted is another job than on every other runner.
		ignored, err := strconv.ParseUint(calls[1]["sigign"], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		if ignored&(1<<1) != 0 { // bit 1 is signal 2
			t.Errorf("the job ignores SIGINT (SigIgn %x)", ignored)
		}
		for _, left := range []string{"run/mayfly/identity", "opt/actions-runner/.credentials", "run/mayfly/lock"} {
			if b.exists(left) {
				t.Errorf("%s is still there", left)
			}
		}
	})
}

func TestListenerThatNeverGetsAJobIsEnded(t *testing.T) {
	for _, tc := range []struct {
		name    string
		act     []string
		options []string
		outcome string
		codes   []int
	}{
		{"waits", []string{"exec /bin/sleep 600"}, []string{"--max-wait", "10"}, "no_job", []int{143}},
		{"deaf", []string{"trap '' TERM", "while :; do /bin/sleep 0.1; done"}, []string{"--max-wait", "100"}, "no_job", []int{137}},
		// The deadline may come between two tries, or in the middle of one.
		{"always trying", []string{"exit 2"}, []string{"--max-wait", "10"}, "no_job", []int{2, 143}},
		{"job without end", []string{runs, "exec /bin/sleep 600"}, []string{"--max-wait", "1000", "--max-life", "20"}, "infrastructure", []int{143}},
		{"ends well when told", []string{"trap 'exit 0' TERM", "while :; do /bin/sleep 0.1; done"}, []string{"--max-wait", "100"}, "no_job", []int{0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newSandbox(t, []string{"/bin/sh"})
			b.act(tc.act...)
			b.deliver(tc.options...)
			b.untilOff()
			if got := b.result(); got.Outcome != tc.outcome || !slices.Contains(tc.codes, got.ExitCode) {
				t.Errorf("result %+v, want outcome %s, exit code %d", got, tc.outcome, tc.codes)
			}
		})
	}
}

func TestVMLingersAfterItsResult(t *testing.T) {
	b := newSandbox(t, []string{"/bin/sh"})
	// The linger is the only sleep of 77 s; it notes whether the result is there and the power still on.
	b.write("bin/sleep", `#!/bin/sh
root=${0%/bin/sleep}
if [ "$1" = 77 ] && [ -s "$root/run/mayfly/result.json" ] && [ ! -e "$root/power" ]; then echo >"$root/lingered"; fi
exec /bin/sleep 0.02
`, 0o755)
	b.deliver("--linger", "77")
	b.untilOff()
	if !b.exists("lingered") {
		t.Error("powered off without lingering between result and power-off")
	}
}

func TestIdentityIsForgottenOnceAJobRuns(t *testing.T) {
	b := newSandbox(t, []string{"/bin/sh"})
	b.act(`while [ ! -e "$root/job" ]; do /bin/sleep 0.02; done`, runs,
		`while [ ! -e "$root/go" ]; do /bin/sleep 0.02; done`, succeeded)
	b.deliver()
	b.until("the listener", func() bool { return b.exists("record/Runner.Listener.0") })
	if !b.exists("run/mayfly/identity") {
		t.Error("the identity is gone before a job runs; a listener that asks for another start can't have one")
	}
	b.write("job", "", 0o644)
	b.until("the identity to go", func() bool { return !b.exists("run/mayfly/identity") })
	b.write("go", "", 0o644)
	b.untilOff()
}

func TestTokenIsTradedForAnIdentity(t *testing.T) {
	b := newSandbox(t, []string{"/bin/sh"})
	b.act(`case $0 in *config.sh) exit 0 ;; esac`, runs, succeeded)
	if r := b.call("AREGISTRATIONTOKEN\n", "--token", "https://github.com/NREL/EnergyPlus", "linux,x64", name); r.code != 0 {
		t.Fatalf("deliver: %+v", r)
	}
	b.untilOff()
	if got := b.result(); got.Outcome != "succeeded" {
		t.Errorf("result %+v", got)
	}
	config, run := b.calls("config.sh"), b.calls("Runner.Listener")
	if len(config) != 1 || len(run) != 1 {
		t.Fatalf("%d registrations and %d starts, want 1 and 1", len(config), len(run))
	}
	want := "--unattended --ephemeral --disableupdate --url https://github.com/NREL/EnergyPlus --name " + name +
		" --labels linux,x64 --work _work"
	if config[0]["args"] != want || config[0]["token"] != "AREGISTRATIONTOKEN" {
		t.Errorf("config.sh %q with token %q", config[0]["args"], config[0]["token"])
	}
	if run[0]["token"] != "" || run[0]["jit"] != "" {
		t.Errorf("the listener got the token too: %v", run[0])
	}
}

func TestRegistrationThatFailsPowersOff(t *testing.T) {
	b := newSandbox(t, []string{"/bin/sh"})
	b.act(`case $0 in *config.sh) exit 1 ;; esac`)
	if r := b.call("AREGISTRATIONTOKEN\n", "--token", "https://github.com/NREL/EnergyPlus", "linux", name); r.code != 0 {
		t.Fatalf("deliver: %+v", r)
	}
	b.untilOff()
	if got := b.result(); got.Outcome != "infrastructure" || got.ExitCode != 1 || got.JobStarted {
		t.Errorf("result %+v", got)
	}
	if len(b.calls("Runner.Listener")) != 0 {
		t.Error("the listener was started without a registration")
	}
}
