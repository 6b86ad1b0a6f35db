package main

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"

	"mayfly/internal/sim/runnerproto"
)

// conditioned are steps that say when they run.
func conditioned(conditions ...string) runnerproto.Message {
	m := steps()
	for _, c := range conditions {
		m.Steps = append(m.Steps, runnerproto.Step{Run: "echo \"ran " + c + "\"", If: c})
	}
	return m
}

func TestStepsRunAfterAFailedHookWhereTheirConditionSaysSo(t *testing.T) {
	f := newFake(t)
	r := newRunner(t)
	r.env = append(r.env, hookStarted+"="+r.write("hooks/started.sh", "echo refused; exit 1\n"))
	f.messages <- conditioned("", "success()", "always()", "failure()", "!cancelled()", "cancelled()")
	r.start("run", "--jitconfig", f.config(true))
	if code := r.wait(); code != 0 || f.resultOf(11) != runnerproto.Failed {
		t.Errorf("exit code %d, told %q", code, f.resultOf(11))
	}
	log := f.logged()
	for words, want := range map[string]bool{
		"Z refused\n": true, "Z ran \n": false, "Z ran success()\n": false, "Z ran always()\n": true, "Z ran failure()\n": true,
		"Z ran !cancelled()\n": true, "Z ran cancelled()\n": false,
	} {
		if strings.Contains(log, words) != want {
			t.Errorf("%q in the log: %v, want %v:\n%s", words, !want, want, log)
		}
	}
}

func TestNoStepRunsOnceAHookHasInterruptedTheRunner(t *testing.T) {
	f := newFake(t)
	r := newRunner(t)
	r.env = append(r.env, hookStarted+"="+r.write("hooks/started.sh", `echo refused; : >"$HOME/refused"; sleep 1000; exit 1`))
	f.messages <- conditioned("", "always()", "failure()", "!cancelled()")
	r.start("run", "--jitconfig", f.config(true))
	r.until("the hook", func() bool { _, err := os.Stat(r.home + "/refused"); return err == nil })
	r.signals <- syscall.SIGINT
	if code := r.wait(); code != 0 || f.resultOf(11) != runnerproto.Failed {
		t.Errorf("exit code %d, told %q", code, f.resultOf(11))
	}
	r.wantPrinted("Job build completed with result: Canceled\n")
	if log := f.logged(); !strings.Contains(log, "Z refused\n") || strings.Contains(log, "Z ran ") {
		t.Errorf("log:\n%s", log)
	}
}

func TestAHookSeesTheEventAndNotTheWorkflowsVariables(t *testing.T) {
	f := newFake(t)
	r := newRunner(t)
	r.env = append(r.env, hookStarted+"="+r.write("hooks/started.sh", `echo "$GITHUB_EVENT_NAME ${FROM_WORKFLOW:-unset} $(cat "$GITHUB_EVENT_PATH")"`))
	m := steps(`echo "step: $FROM_WORKFLOW"`)
	m.Event, m.Payload = "pull_request", json.RawMessage(`{"pull_request":{"number":1}}`)
	f.messages <- m
	r.start("run", "--jitconfig", f.config(true))
	if code := r.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{`Z pull_request unset {"pull_request":{"number":1}}`, "Z step: yes\n"} {
		if !strings.Contains(f.logged(), want) {
			t.Errorf("log without %q:\n%s", want, f.logged())
		}
	}
}

func TestAConditionThatIsNoneFailsTheJob(t *testing.T) {
	f := newFake(t)
	r := newRunner(t)
	f.messages <- conditioned("github.event_name == 'push'", "always()")
	r.start("run", "--jitconfig", f.config(true))
	if code := r.wait(); code != 0 || f.resultOf(11) != runnerproto.Failed || !strings.Contains(f.logged(), "Unrecognized condition") {
		t.Errorf("exit code %d, told %q, log:\n%s", code, f.resultOf(11), f.logged())
	}
}
