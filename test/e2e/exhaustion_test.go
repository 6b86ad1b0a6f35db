//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"mayfly/internal/sim/gh"
)

// TestExhaustedMachinePowersOffAfterItsOneJob takes from a whole machine what a container would take from this host.
func TestExhaustedMachinePowersOffAfterItsOneJob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, job  string
		during     string // as root, once the job has started
		conclusion string // "" where GitHub hears nothing more
		log        string
	}{
		{
			// All that a job can fill: its disk, and what lies in memory. (The shell's own error ends no step.)
			name: "disk", conclusion: "success", log: "Z full: 0 0 0\n",
			job: `dd if=/dev/zero of=fill bs=64k 2>/dev/null || :
dd if=/dev/zero of=/tmp/fill bs=64k 2>/dev/null || :
dd if=/dev/zero of=$HOME/fill bs=64k count=64 2>/dev/null || :
echo "full: $(for dir in . /tmp; do df -k $dir | awk 'END {printf "%s ", $4}'; done)0"`,
		},
		{
			// The kernel ends the job and not the listener, which tells GitHub.
			name: "memory", conclusion: "failure", log: "##[error]",
			job: `dd if=/dev/zero of=/dev/null bs=1G`,
		},
		{
			// Without systemd it is the guard that notices.
			name: "script killed", job: waits, during: "kill -9 $(cat /run/mayfly/serving/pid)", log: "Z started\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, address := newGitHub(t)
			m := newMachines(t, image(t, "tiny"), address)
			m.boot(201, map[string]string{"agent": "1"})
			server.AddJobs(gh.JobSpec{Steps: []gh.StepSpec{{Run: c.job}}})
			server.AddJobs(gh.JobSpec{Name: "next", Steps: []gh.StepSpec{{Run: "true"}}})
			_, config := jitConfig(t, server, "ep-1")
			if code, out := m.sh(201, runOnce+" --linger 1 --jit ep-1", config); code != 0 {
				t.Fatalf("delivery: %d, %s", code, out)
			}
			if c.during != "" {
				m.until(201, "the job's first words", func() bool { return strings.Contains(server.State().Jobs[0].Log, "started") })
				m.exec(201, c.during, "")
			}
			m.wantExit(201)
			jobs := server.State().Jobs
			if job := jobs[0]; job.Conclusion != c.conclusion || job.Starts != 1 || !strings.Contains(job.Log, c.log) {
				t.Errorf("job: %q after %d starts, want %q; its log:\n%s\nconsole:\n%s", job.Conclusion, job.Starts, c.conclusion, job.Log, m.Console(201))
			}
			if jobs[1].Starts != 0 {
				t.Errorf("a second job was started %d times", jobs[1].Starts)
			}
		})
	}
}
