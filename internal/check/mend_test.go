package check_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	"mayfly/internal/check"
	"mayfly/internal/config"
	"mayfly/internal/proxmox"
	"mayfly/internal/sim/pve"
	"mayfly/test/roles"
)

// spoilt is a template that was built by this installation, or by nobody, and then changed by somebody.
func spoilt(t *testing.T, marked bool) map[string]string {
	t.Helper()
	options := map[string]string{"onboot": "1", "protection": "1", "boot": "order=net0;scsi0"}
	if marked {
		maps.Copy(options, image(1, 2))
	}
	return options
}

// builder is a token that may do what runs and builds need.
func builder(t *testing.T, s setting) setting {
	t.Helper()
	file := roles.Read(t)
	token, made := roles.Token(testToken, testSecret, append(file.Needs(t, "run", 9), file.Needs(t, "build", 9)...))
	s.pve.Tokens, s.pve.Roles, s.token = []pve.Token{token}, made, testToken
	return s
}

// settings are those of the template that isn't well.
func settings(found []check.Finding) int {
	n := 0
	for _, f := range bad(found) {
		if f.ID == "template-settings" {
			n++
		}
	}
	return n
}

func TestTemplatesOfThisInstallationAreMended(t *testing.T) {
	s := builder(t, setting{admin: set(t, 9000, spoilt(t, true))})
	s.after = func(ctx context.Context, c *config.Config, p, admin *proxmox.Client, found []check.Finding) {
		changes := check.Changes(found)
		if settings(found) != 3 || len(changes) != 1 || changes[0].String() != "PUT /nodes/pve1/qemu/9000/config boot=order=scsi0 onboot=0 protection=0" {
			t.Fatalf("%d findings, changes %v", settings(found), changes)
		}
		if err := check.Apply(ctx, p, c, changes[0]); err != nil {
			t.Fatal(err)
		}
		cfg, err := admin.VMConfig(ctx, "pve1", 9000)
		if err != nil || cfg.Protection || cfg.Values["onboot"] == "1" || cfg.Values["boot"] != "order=scsi0" {
			t.Errorf("config %+v, %v", cfg, err)
		}
		if err := check.Apply(ctx, p, c, changes[0]); err == nil || !strings.Contains(err.Error(), "has changed since") {
			t.Errorf("a second time: %v", err)
		}
	}
	look(t, s)
}

func TestTemplatesThatAreNotOursAreOnlyTold(t *testing.T) {
	other := image(1, 2)
	for name, options := range map[string]map[string]string{
		"no marker":            nil,
		"another installation": {"description": strings.Replace(other["description"], "energyplus-runner-300", "somebody-else", 1)},
		"another VM's marker":  {"description": strings.Replace(other["description"], "9000", "9001", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := spoilt(t, false)
			maps.Copy(spoilt, options)
			found := look(t, builder(t, setting{admin: set(t, 9000, spoilt)}))
			if settings(found) != 3 || len(check.Changes(found)) != 0 {
				t.Errorf("%d findings, changes %v; want 3 and none", settings(found), check.Changes(found))
			}
			for _, f := range bad(found) {
				if f.ID == "template-settings" && (f.Commands == nil || f.Commands.Node != "pve1" || !strings.HasPrefix(f.Commands.Lines[0], "qm set 9000 --")) {
					t.Errorf("got %+v with commands %+v", f, f.Commands)
				}
			}
		})
	}
}

func TestChangesAreNotMadeOfWhatHasChangedMeanwhile(t *testing.T) {
	for name, tc := range map[string]struct {
		meanwhile func(t *testing.T) func(*proxmox.Client)
		want      string
	}{
		"somebody set something": {func(t *testing.T) func(*proxmox.Client) { return set(t, 9000, map[string]string{"cores": "4"}) }, "has changed since"},
		"it is no longer ours":   {func(t *testing.T) func(*proxmox.Client) { return set(t, 9000, nil, "description") }, "didn't build it"},
	} {
		t.Run(name, func(t *testing.T) {
			s := builder(t, setting{admin: set(t, 9000, spoilt(t, true))})
			s.after = func(ctx context.Context, c *config.Config, p, admin *proxmox.Client, found []check.Finding) {
				tc.meanwhile(t)(admin)
				before, _ := admin.VMConfig(ctx, "pve1", 9000)
				for _, change := range check.Changes(found) {
					if err := check.Apply(ctx, p, c, change); err == nil || !strings.Contains(err.Error(), tc.want) {
						t.Errorf("got %v, want %q in it", err, tc.want)
					}
				}
				if after, _ := admin.VMConfig(ctx, "pve1", 9000); after.Digest != before.Digest {
					t.Error("it was changed")
				}
			}
			look(t, s)
		})
	}
}

func TestChangeThatTheTokenMayNotMakeNamesThePrivilege(t *testing.T) {
	s := setting{admin: set(t, 9000, spoilt(t, true))}
	s.after = func(ctx context.Context, c *config.Config, p, _ *proxmox.Client, found []check.Finding) {
		for _, change := range check.Changes(found) {
			if err := check.Apply(ctx, p, c, change); err == nil || !strings.Contains(err.Error(), "VM.Config") {
				t.Errorf("got %v", err)
			}
		}
	}
	if found := look(t, s); len(check.Changes(found)) != 1 {
		t.Errorf("changes %v", check.Changes(found))
	}
}
