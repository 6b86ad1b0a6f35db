//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"

	"mayfly/internal/sim/gh"
)

// TestIdentityReachesNoDisk is why run-once.sh puts an overlay over the runner's folder: the runner unpacks its identity
// there, and a VM's disk outlives it in backups and on storages that don't overwrite.
func TestIdentityReachesNoDisk(t *testing.T) {
	t.Parallel()
	server, address := newGitHub(t)
	m := newMachines(t, image(t, "runner"), address)
	m.boot(201, map[string]string{"agent": "1"})
	const planted = "what-a-job-writes-lies-on-the-disk"
	server.AddJobs(gh.JobSpec{Steps: []gh.StepSpec{{Run: `cd /opt/actions-runner
ls -A .runner .credentials .credentials_rsaparams _work bin/Runner.Listener
echo ` + planted + ` >_work/planted
echo kept >kept-in-memory
while [ ! -e /tmp/go ]; do sleep 1; done`}}})
	_, config := jitConfig(t, server, "ep-1")
	if code, out := m.sh(201, runOnce+" --linger 2 --jit ep-1", config); code != 0 {
		t.Fatalf("delivery: %d, %s", code, out)
	}
	jobIs(t, m, 201, server, "in_progress")
	m.until(201, "the job's first words", func() bool { return strings.Contains(server.State().Jobs[0].Log, ".runner\n") })
	// In the view of the agent, which is everybody's.
	if _, out := m.sh(201, "cat /opt/actions-runner/kept-in-memory; stat -f -c %T /run/mayfly/folder /opt/actions-runner/_work", ""); out != "kept\ntmpfs\next2/ext3\n" {
		t.Errorf("file systems of the runner's folder:\n%s", out)
	}
	m.sh(201, "sync; touch /tmp/go", "")
	if job := jobIs(t, m, 201, server, "completed"); job.Conclusion != "success" {
		t.Errorf("job: %s; its log:\n%s", job.Conclusion, job.Log)
	}
	m.wantExit(201)

	sought := traces(t, config)
	sought["planted"] = planted
	found := m.onDisk(201, sought)
	if i := slices.Index(found, "planted"); i < 0 {
		t.Error("the search doesn't find what is on the disk")
	} else {
		found = slices.Delete(found, i, i+1)
	}
	if len(found) != 0 {
		t.Errorf("the disk holds the identity: %q", found)
	}
}
