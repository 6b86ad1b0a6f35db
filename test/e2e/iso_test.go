//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// TestISOServesAJobAndIsGoneWhileItRuns is the hand-off that needs neither a guest agent nor a folder: a CD-ROM image is
// uploaded, the guest's own cloud-init reads it in place of Proxmox's cloud-init drive, and it is ejected and deleted.
func TestISOServesAJobAndIsGoneWhileItRuns(t *testing.T) {
	t.Parallel()
	c := newClusterThat(t, image(t, "runner"), pve.Options{CloudInitDrive: true, TemplateAgentOff: true, MayUpload: true})
	steps := append(slices.Clone(jobSteps), gh.StepSpec{Name: "cloud-init", Run: `cat /run/cloud-init/result.json
echo "host $(hostname)"
while [ ! -e /tmp/go ]; do sleep 1; done`})
	id := c.gh.AddJobs(gh.JobSpec{Labels: []string{"self-hosted", "linux", "EnergyPlus"}, Steps: steps})[0]

	env := c.environment(1)
	env["RUNNER_HANDOFF"] = "iso"
	m := runMayfly(t, buildMayfly(t), env)
	medium, identity := c.mediumInDrive()
	guest := &machines{t, c.machine, nil, c.dir}
	jobIs(t, guest, c.pve.Info().Template, c.gh, "in_progress")
	vmid := c.fleet()[0].VMID
	wait(t, "the medium is gone", func() bool {
		_, err := os.Stat(medium)
		return len(c.media()) == 0 && c.fleet()[0].Config["ide2"] == "none,media=cdrom" && os.IsNotExist(err)
	})
	if status := c.gh.State().Jobs[0].Status; status != "in_progress" {
		t.Errorf("the medium went when the job was %s", status)
	}
	wantEjected(guest, vmid, identity)
	guest.sh(vmid, "touch /tmp/go", "")
	c.untilAllIsOver(m, nil)
	m.stop()

	job := c.gh.State().Jobs[0]
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
	if left := c.media(); len(left) != 0 {
		t.Errorf("left on the storage: %v", left)
	}
	if t.Failed() {
		t.Logf("the job's log:\n%s", job.Log)
	}
}

// mediumInDrive waits until a machine has a medium in its drive, and gives its file and the identity in it.
func (c *cluster) mediumInDrive() (file, identity string) {
	c.t.Helper()
	wait(c.t, "a medium in a drive", func() bool {
		files, err := filepath.Glob(filepath.Join(c.dir, "mayfly-qemu-*", "*.ide2.medium"))
		if err != nil || len(files) == 0 {
			return false
		}
		text, err := os.ReadFile(files[0])
		if err != nil || !identityForm.Match(text) {
			return false
		}
		file, identity = files[0], string(identityForm.FindSubmatch(text)[1])
		return true
	})
	return file, identity
}

// media lists Mayfly's files on the storage, as its administrator sees them.
func (c *cluster) media() []string {
	c.t.Helper()
	info := c.pve.Info()
	admin, err := proxmox.New(proxmox.Options{
		Endpoints: []string{info.URL}, TokenID: info.AdminTokenID, TokenSecret: runner.NewSecret(info.AdminTokenSecret), Fingerprint: info.Fingerprint,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	defer admin.Close()
	list, err := admin.Volumes(c.t.Context(), info.Node, "local", "iso")
	if err != nil {
		c.t.Fatal(err)
	}
	var names []string
	for _, v := range list {
		if strings.HasPrefix(v.Name(), "mayfly-") {
			names = append(names, v.Name())
		}
	}
	return names
}

// wait looks until something is so.
func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(jobsPatience); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// wantEjected looks as root for the identity on the guest's disk, in its /run and in the drive.
func wantEjected(m *machines, vmid int, identity string) {
	m.t.Helper()
	m.until(vmid, "identity forgotten", func() bool {
		code, _ := m.sh(vmid, "test ! -e /run/mayfly/identity", "")
		return code == 0
	})
	const search = "grep -rlF -f - /run /var /etc /root /home /opt /tmp"
	if code, out := m.sh(vmid, search, identity); code != 1 {
		m.t.Errorf("the identity is in these files of the guest (%d):\n%s", code, out)
	}
	if code, out := m.sh(vmid, "cat >/root/planted; "+search+" </root/planted; rm /root/planted", identity); out != "/root/planted\n" {
		m.t.Errorf("search for a planted identity: %d, %s", code, out)
	}
	if code, out := m.sh(vmid, "head -c 1 /dev/sr0", ""); code == 0 {
		m.t.Errorf("the drive can be read: %q", out)
	}
}
