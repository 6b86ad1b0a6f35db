package check_test

import (
	"errors"
	"strings"
	"testing"

	"mayfly/internal/check"
	"mayfly/internal/cloudinit"
	"mayfly/internal/config"
	"mayfly/internal/fleet"
	"mayfly/internal/handoff"
	"mayfly/internal/sim/pve"
)

// snippets is a stand-in's setting for the hand-off snippet, in a folder that is there.
func snippets(t *testing.T, o pve.Options) setting {
	t.Helper()
	dir := t.TempDir()
	o.SnippetsDir = dir
	template, err := cloudinit.Parse("test", "#cloud-config\nruncmd:\n  - [run, '${jit_config}']\n")
	if err != nil {
		t.Fatal(err)
	}
	return setting{
		pve: o, env: []string{"RUNNER_HANDOFF=snippet", "SNIPPETS_DIR=" + dir},
		handOff: func() (map[fleet.Way]fleet.Seeder, error) {
			s, err := handoff.NewSnippet(handoff.SnippetOptions{Dir: dir, Storage: "local", Installation: "energyplus-runner-300", Template: template})
			return map[fleet.Way]fleet.Seeder{fleet.WaySnippet: s}, err
		},
	}
}

func TestSnippetsNeedACloudInitDriveInTheTemplate(t *testing.T) {
	f := finding(t, look(t, snippets(t, pve.Options{})), "template-settings")
	if f.Level != check.Error || f.Cure != "on the node: qm set 9000 --ide2 local-lvm:cloudinit" {
		t.Errorf("without a drive: %+v", f)
	}
	for _, f := range bad(look(t, snippets(t, pve.Options{CloudInitDrive: true}))) {
		if f.ID == "template-settings" || f.ID == "handoff" {
			t.Errorf("with a drive: %+v", f)
		}
	}
}

func TestWhatTheHandOffLacksOnThisMachineIsTold(t *testing.T) {
	f := finding(t, look(t, setting{handOff: func() (map[fleet.Way]fleet.Seeder, error) {
		return nil, errors.New("check SNIPPETS_DIR /mnt: not writable; read-only file system; mount it for writing")
	}}), "handoff")
	if f.Level != check.Error || !strings.HasSuffix(f.Reason, "read-only file system") || f.Cure != "mount it for writing" {
		t.Errorf("got %+v", f)
	}
}

// Templates may be in another resource pool than those that Mayfly builds.
func TestTemplateOutsideTheResourcePoolOfBuildsIsJudgedByItself(t *testing.T) {
	found := look(t, setting{file: func(c *config.Config) { c.Image.ResourcePool = "elsewhere" }})
	for _, f := range bad(found) {
		if f.ID == "proxmox-privileges" {
			t.Errorf("got %+v", f)
		}
	}
}
