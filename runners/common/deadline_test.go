package common_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestDeadlinesCountFromTheDelivery: the unit may have waited for the network most of the time.
func TestDeadlinesCountFromTheDelivery(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.write("proc/uptime", "100.25 90.00\n", 0o644)
		b.systemd(`while [ "${1#--}" != "$1" ]; do shift; done
echo "86500.00 90.00" >"$root/proc/uptime"
setsid --fork "$@" </dev/null >"$root/journal" 2>&1`)
		b.act("exec /bin/sleep 600")
		b.deliver() // max-wait is 86400 s, half an hour of this sandbox's
		b.untilOff()
		if got := b.result(); got.Outcome != "no_job" || !strings.Contains(b.read("journal"), "no job in 86400 s") {
			t.Errorf("result %+v, journal:\n%s", got, b.read("journal"))
		}
	})
}

// TestSystemdKeepsTheDeadlinesToo is for a unit that never starts, or whose script hangs.
func TestSystemdKeepsTheDeadlinesToo(t *testing.T) {
	b := newSandbox(t, []string{"/bin/sh"})
	b.systemd(`printf '%s\n' "$@" >"$root/unit"; echo >"$root/run/mayfly/ended"`)
	b.deliver("--linger", "10", "--max-wait", "1000", "--max-life", "2000")
	unit := b.read("unit")
	for _, want := range []string{
		"RuntimeMaxSec=2310", "FailureAction=poweroff-force",
		"KillMode=mixed", "TimeoutStopSec=45", "LimitNOFILE=65536:524288", "TasksMax=infinity",
	} {
		if !strings.Contains(unit, "--property="+want+"\n") {
			t.Errorf("systemd-run without %s:\n%s", want, unit)
		}
	}
	// The guard waits for nothing.
	guard := b.read("guard")
	if !strings.HasSuffix(guard, "--max-wait\n1000\n--max-life\n2000\n--linger\n10\n--guard\n") || strings.Contains(guard, "After=") ||
		!strings.Contains(guard, "--property=DefaultDependencies=no\n") {
		t.Errorf("the guard's unit:\n%s", guard)
	}
}

// TestUnitThatNeverStartsEndsInPowerOff: the network it waits for may never come.
func TestUnitThatNeverStartsEndsInPowerOff(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.systemd("exit 0")
		b.deliver("--max-wait", "10")
		b.untilOff()
		if b.exists("record/Runner.Listener.0") {
			t.Error("the listener was started")
		}
	})
}

// TestKilledScriptPowersOff is what FailureAction does under systemd.
func TestKilledScriptPowersOff(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.act(`echo $$ >"$root/record/pid"`, "exec /bin/sleep 600")
		b.deliver()
		b.until("the listener", func() bool { return b.read("record/pid") != "" && b.read("run/mayfly/serving/pid") != "" })
		serve, err := strconv.Atoi(strings.TrimSpace(b.read("run/mayfly/serving/pid")))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(serve, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		b.untilOff()
		for pid := range b.processes() { // nothing of it ends by itself now, but for the power-off
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
}

func TestMachineWithoutAnIdentityExpires(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		if r := b.call("", "--expire"); r.code != 0 || !strings.Contains(r.out, "no identity came") {
			t.Errorf("expire: %+v", r)
		}
		b.untilOff()
		if r := b.call(identity, "--jit", name); r.code != 3 {
			t.Errorf("delivery into a machine that is going off: %+v, want 3", r)
		}
	})
}

func TestRunnerDoesNotExpire(t *testing.T) {
	t.Run("delivered", func(t *testing.T) {
		t.Parallel()
		b := newSandbox(t, []string{"/bin/sh"})
		b.act(waiting...)
		b.deliver()
		if r := b.call("", "--expire"); r.code != 0 || r.out != "" || b.exists("power") {
			t.Errorf("expire: %+v, powered off: %v", r, b.exists("power"))
		}
		b.write("go", "", 0o644)
		b.untilOff()
	})
	t.Run("older call", func(t *testing.T) {
		t.Parallel()
		b := newSandbox(t, []string{"/bin/sh"})
		b.write("proc/77/cmdline", "/opt/actions-runner/bin/Runner.Listener\x00run\x00", 0o644)
		if r := b.call("", "--expire"); r.code != 0 || r.out != "" || b.exists("power") {
			t.Errorf("expire: %+v, powered off: %v", r, b.exists("power"))
		}
	})
}

// TestShutdownTellsTheListener: it is what ExecStop runs when the machine is shut down under a job.
func TestShutdownTellsTheListener(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.act(runs, `trap 'echo "2026-11-24 10:00:09Z: Job build completed with result: Canceled"; exit 0' INT`,
			`echo >"$root/record/there"`, "while :; do /bin/sleep 0.02; done")
		if r := b.call("", "--stop"); r.code != 0 || r.err != "" {
			t.Errorf("stop without a listener: %+v", r)
		}
		b.deliver()
		b.until("the job", func() bool { return b.exists("record/there") })
		if r := b.call("", "--stop"); r.code != 0 || r.err != "" {
			t.Errorf("stop: %+v", r)
		}
		if b.exists("run/mayfly/listener.pid") {
			t.Error("stop didn't wait for the listener")
		}
		b.untilOff()
		if got := b.result(); got.Outcome != "cancelled" {
			t.Errorf("result %+v", got)
		}
	})
}

// TestLogsStayOnTheDisk is for whoever looks into the disk of a machine that powered off.
func TestLogsStayOnTheDisk(t *testing.T) {
	b := newSandbox(t, []string{"/bin/sh"})
	b.act(runs, "head -c 2000000 /dev/zero | tr '\\0' x", "echo", succeeded)
	b.deliver()
	b.untilOff()
	kept := b.read("var/log/mayfly/listener.log")
	if len(kept) != 1<<20 || !strings.HasSuffix(kept, "completed with result: Succeeded\n") {
		t.Errorf("kept %d bytes of the log", len(kept))
	}
	if got := b.read("var/log/mayfly/result.json"); got == "" || got != b.read("run/mayfly/result.json") {
		t.Errorf("kept result: %s", got)
	}
	if info, err := os.Stat(b.path("var/log/mayfly")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder of the logs: %v, %v", info, err)
	}
}

// TestListenerOutlivesItsJobsInTheOOMKillersEyes: jobs are at 500, by GitHub's runner. Each process has a score of its own,
// so this is the kernel's file. Who may not make a process safer keeps the score, and the job runs all the same.
func TestListenerOutlivesItsJobsInTheOOMKillersEyes(t *testing.T) {
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	want := string(own)
	if exec.CommandContext(t.Context(), "/bin/sh", "-c", "echo -500 >/proc/self/oom_score_adj").Run() == nil {
		want = "-500\n"
	}
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.link("proc/self/oom_score_adj", "/proc/self/oom_score_adj")
		b.act(`cat /proc/self/oom_score_adj`)
		b.deliver()
		b.untilOff()
		if got := b.read("run/mayfly/listener.log"); got != want {
			t.Errorf("the listener's score: %q, want %q", got, want)
		}
	})
}
