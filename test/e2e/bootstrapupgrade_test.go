//go:build e2e

package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/sim/gh"
)

// TestBootstrapAgainUpgradesARealContainerWhileAJobRuns puts a second container in the place of the first, with its state, by the real
// command. The stand-in's word that the first is off, and that its volume is the second's, the test makes true.
func TestBootstrapAgainUpgradesARealContainerWhileAJobRuns(t *testing.T) {
	h := newHouse(t)
	token := h.gh.Info().Token
	first, said, err := h.bootstrap(token)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	h.wantReady(first)
	first.must("touch /var/lib/private/mayfly/kept")
	address := first.must("ip -brief -4 address show eth0 | tr -s ' ' | cut -d ' ' -f 3")
	owner := first.must("stat -c %u /var/lib/private/mayfly")
	jobs := h.gh.AddJobs(gh.JobSpec{Labels: []string{"self-hosted", "energyplus"}, Duration: 45 * time.Second})
	running := func() bool { return h.job(jobs[0]).Status == "in_progress" }
	first.until("job", running)

	h.args = []string{"--force"}
	h.unpacked = func(second *lxc) {
		if !running() {
			t.Error("the job was over before the first dispatcher went")
		}
		first.stop()
		rootDo(t, "cp", "-a", filepath.Join(first.dir, "mp0")+"/.", filepath.Join(second.dir, "mp0"))
	}
	second, said, err := h.bootstrap(token)
	if err != nil || !strings.Contains(said, "the dispatcher serves in container 191 on pve1, in place of container 190\n") {
		t.Fatalf("%v\n%s", err, second.report())
	}
	h.wantReady(second)
	second.must("test -e /var/lib/mayfly/kept")
	if now := second.must("ip -brief -4 address show eth0 | tr -s ' ' | cut -d ' ' -f 3"); now != address {
		t.Errorf("address %s, before %s", now, address)
	}
	if now := second.must("stat -c %u /var/lib/private/mayfly"); now != owner {
		t.Logf("the service's user was %s and is %s: systemd gave it the state", owner, now)
	}
	if left := h.pve.State().Containers; len(left) != 1 || left[0].VMID != dispatcherVMID+1 {
		t.Errorf("containers: %+v", left)
	}
	second.until("end of the job that ran meanwhile", func() bool { return h.job(jobs[0]).Status == "completed" })
	if j := h.job(jobs[0]); j.Conclusion != "success" || j.Starts != 1 {
		t.Errorf("%+v", j)
	}
	h.wantJobDone(second)
}

// job is one of GitHub's.
func (h *house) job(id int64) gh.JobState {
	all := h.gh.State().Jobs
	i := slices.IndexFunc(all, func(j gh.JobState) bool { return j.ID == id })
	if i < 0 {
		h.t.Fatalf("no job %d", id)
	}
	return all[i]
}
