//go:build e2e

package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve/qemu"
)

// runOnce is the guest's half of the contract in docs/run-once.md.
const runOnce = "/opt/actions-runner/run-once.sh"

// TestRestartedAgentEndsNoJob is why run-once.sh hands the listener over: what the agent starts dies with it.
func TestRestartedAgentEndsNoJob(t *testing.T) {
	t.Parallel()
	restart := map[string]string{"tiny": "sleep 1; kill -9 $(pidof qemu-ga)", "systemd": "sleep 1; systemctl restart qemu-guest-agent"}
	for name, command := range restart {
		t.Run(name, func(t *testing.T) {
			server, address := newGitHub(t)
			m := newMachines(t, image(t, name), address)
			m.boot(201, map[string]string{"agent": "1"})
			server.AddJobs(gh.JobSpec{Steps: []gh.StepSpec{{Run: "while [ ! -e /tmp/go ]; do sleep 1; done; echo got through"}}})
			_, config := jitConfig(t, server, "ep-1")
			deliver := runOnce + " --linger 5 --jit ep-1"
			if code, out := m.sh(201, deliver, config); code != 0 {
				t.Fatalf("delivery: %d, %s", code, out)
			}
			jobIs(t, m, 201, server, "in_progress")
			m.until(201, "the identity forgotten", func() bool {
				code, _ := m.sh(201, "test -e /run/mayfly/identity", "")
				return code == 1
			})
			_, before := m.sh(201, "pidof qemu-ga", "")
			m.exec(201, command, "")
			m.until(201, "another agent", func() bool {
				after, ok := m.trySh(201, "pidof qemu-ga")
				return ok && after != "" && after != before
			})
			// The same identity again changes nothing, another one is refused.
			if code, out := m.sh(201, deliver, config); code != 0 {
				t.Errorf("the same delivery again: %d, %s", code, out)
			}
			if code, out := m.sh(201, deliver, "b3RoZXI="); code != 3 {
				t.Errorf("another identity: %d, %s", code, out)
			}
			m.sh(201, "touch /tmp/go", "")
			job := jobIs(t, m, 201, server, "completed")
			if job.Conclusion != "success" || job.Starts != 1 || !strings.Contains(job.Log, "got through") {
				t.Errorf("job: %s after %d starts; its log:\n%s", job.Conclusion, job.Starts, job.Log)
			}
			m.wantResult(201, `"runner":"ep-1","exit_code":0,"outcome":"succeeded","job_started":true`)
			m.wantExit(201)
		})
	}
}

// wantResult waits for the guest's result.json.
func (m *machines) wantResult(vmid int, want string) {
	m.t.Helper()
	var result string
	m.until(vmid, "result", func() (ok bool) {
		result, ok = m.trySh(vmid, "cat /run/mayfly/result.json")
		return ok && result != ""
	})
	if !strings.Contains(result, want) {
		m.t.Errorf("result: %s, want %s", result, want)
	}
}

// TestGuestsWithoutAJobPowerOffAndSayWhy is what becomes of a VM whose dispatcher can't help it.
func TestGuestsWithoutAJobPowerOffAndSayWhy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options gh.Options
		removed bool
		want    string
	}{
		"registration removed": {gh.Options{}, true, `"exit_code":1,"outcome":"infrastructure","job_started":false`},
		"version too old":      {gh.Options{OldestRunner: "9.0.0"}, false, `"exit_code":7,"outcome":"deprecated","job_started":false`},
	} {
		t.Run(name, func(t *testing.T) {
			server, address := newGitHubThat(t, c.options)
			m := newMachines(t, image(t, "tiny"), address)
			m.boot(201, map[string]string{"agent": "1"})
			id, config := jitConfig(t, server, "ep-1")
			if c.removed {
				send(t, server, http.MethodDelete, "/actions/runners/"+strconv.FormatInt(id, 10), nil, http.StatusNoContent)
			}
			if code, out := m.sh(201, runOnce+" --linger 5 --jit ep-1", config); code != 0 {
				t.Fatalf("delivery: %d, %s", code, out)
			}
			m.wantResult(201, c.want)
			m.wantExit(201)
		})
	}
}

// TestRegistrationTokenServesAJob is the way without a JIT configuration: config.sh in the guest.
func TestRegistrationTokenServesAJob(t *testing.T) {
	t.Parallel()
	server, address := newGitHub(t)
	m := newMachines(t, image(t, "tiny"), address)
	m.boot(201, map[string]string{"agent": "1"})
	server.AddJobs(gh.JobSpec{Labels: []string{"self-hosted", "energyplus"}, Steps: []gh.StepSpec{{Run: "id -un"}}})
	call := runOnce + " --linger 1 --token " + qemu.GuestGitHubURL + "/" + repository + " energyplus,linux ep-token"
	if code, out := m.sh(201, call, registrationToken(t, server)); code != 0 {
		t.Fatalf("delivery: %d, %s", code, out)
	}
	job := jobIs(t, m, 201, server, "completed")
	if job.Conclusion != "success" || job.RunnerName != "ep-token" || !strings.Contains(job.Log, "Z runner\n") {
		t.Errorf("job: %s on %q; its log:\n%s", job.Conclusion, job.RunnerName, job.Log)
	}
	m.wantExit(201)
	for _, r := range server.State().Runners {
		if r.RemovedAt.IsZero() || !r.Ephemeral {
			t.Errorf("registration %s: removed %v, ephemeral %v", r.Name, !r.RemovedAt.IsZero(), r.Ephemeral)
		}
	}
}

// TestOlderCallServesAJob is how dispatchers before Mayfly called the script: as the runner's user, in the foreground.
// That user may not power this guest off, so the script leaves it to the dispatcher.
func TestOlderCallServesAJob(t *testing.T) {
	t.Parallel()
	server, address := newGitHub(t)
	m := newMachines(t, image(t, "tiny"), address)
	m.boot(201, map[string]string{"agent": "1"})
	server.AddJobs(gh.JobSpec{Labels: []string{"energyplus"}, Steps: []gh.StepSpec{{Run: "id -un"}}})
	call := runOnce + " --linger 1 " + qemu.GuestGitHubURL + "/" + repository + " " + registrationToken(t, server) + " energyplus ep-older"
	code, out := m.sh(201, "su -s /bin/sh -c '"+call+"' runner", "")
	if code != 0 || !strings.Contains(out, "Job build completed with result: Succeeded") {
		t.Errorf("older call: %d, %s", code, out)
	}
	if job := server.State().Jobs[0]; job.Conclusion != "success" || job.RunnerName != "ep-older" {
		t.Errorf("job: %s on %q; its log:\n%s", job.Conclusion, job.RunnerName, job.Log)
	}
	if code, out := m.sh(201, runOnce+" x y z ep-older", ""); code != 2 {
		t.Errorf("older call as root: %d, %s", code, out)
	}
}
