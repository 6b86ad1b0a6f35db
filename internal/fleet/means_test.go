package fleet

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloudinit"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
)

// grants is what GET /access/permissions tells of: a path, and what holds there, with a ! where it doesn't below.
func grants(lines ...string) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for _, line := range lines {
		f := strings.Fields(line)
		all[f[0]] = map[string]bool{}
		for _, p := range f[1:] {
			all[f[0]][strings.TrimSuffix(p, "!")] = !strings.HasSuffix(p, "!")
		}
	}
	return all
}

func TestWhatTheTokenLacksIsNamedWithTheCommandThatGrantsIt(t *testing.T) {
	good := []proxmox.Storage{{Name: "local", Content: []string{"vztmpl", "iso"}, Enabled: true, Active: true}}
	s := Spec{Node: "pve1", Storage: "local", ResourcePool: "ci", Token: "ci@pve!mayfly"}
	for _, tc := range []struct {
		name     string
		grants   []string
		storages []proxmox.Storage
		noPool   bool
		agent    string
		iso      []string // each is in the text; none is ""
	}{
		{name: "all, Proxmox VE 9", grants: []string{"/pool/ci VM.GuestAgent.Unrestricted VM.Config.CDROM", "/storage/local Datastore.AllocateTemplate Datastore.Audit"}},
		{name: "all, Proxmox VE 8", grants: []string{"/pool/ci VM.Monitor VM.Config.CDROM", "/storage/local Datastore.AllocateTemplate Datastore.AllocateSpace"}},
		{name: "from above", grants: []string{"/ VM.Monitor VM.Config.CDROM Datastore.AllocateTemplate Datastore.Audit"}},
		{name: "on all VMs", grants: []string{"/vms VM.Monitor VM.Config.CDROM", "/storage Datastore.AllocateTemplate Datastore.Audit"}, noPool: true},
		{
			name: "nothing that propagates", grants: []string{"/ VM.Monitor! VM.Config.CDROM! Datastore.AllocateTemplate! Datastore.Audit!"},
			agent: "lacks VM.GuestAgent.Unrestricted (before Proxmox VE 9: VM.Monitor) on /pool/ci; run: pveum role add MayflyAgent --privs VM.GuestAgent.Audit,VM.GuestAgent.FileRead,VM.GuestAgent.Unrestricted && pveum acl modify /pool/ci --roles MayflyAgent --users ci@pve --tokens 'ci@pve!mayfly'",
			iso: []string{
				"lacks Datastore.AllocateTemplate and Datastore.Audit on /storage/local; run: pveum role add MayflyISO --privs Datastore.Allocate,Datastore.AllocateTemplate,Datastore.Audit && pveum acl modify /storage/local --roles MayflyISO --users ci@pve --tokens 'ci@pve!mayfly'",
				"lacks VM.Config.CDROM on /pool/ci; run: pveum role add MayflyCDROM --privs VM.Config.CDROM && pveum acl modify /pool/ci",
			},
		},
		{
			name: "less below than above", grants: []string{"/ VM.Monitor VM.Config.CDROM Datastore.AllocateTemplate Datastore.Audit", "/storage/local Datastore.Audit"},
			iso: []string{"lacks Datastore.AllocateTemplate on /storage/local"},
		},
		{
			name: "no such storage", grants: []string{"/ VM.Monitor VM.Config.CDROM Datastore.AllocateTemplate Datastore.Audit"}, storages: []proxmox.Storage{},
			iso: []string{`node pve1 has no storage "local"; set PROXMOX_STORAGE`},
		},
		{
			name: "content", grants: []string{"/ VM.Monitor VM.Config.CDROM Datastore.AllocateTemplate Datastore.Audit"},
			storages: []proxmox.Storage{{Name: "local", Content: []string{"images"}, Enabled: true, Active: true}},
			iso:      []string{"takes no ISO images; run: pvesm set local --content images,iso"},
		},
		{
			name: "inactive", grants: []string{"/ VM.Monitor VM.Config.CDROM Datastore.AllocateTemplate Datastore.Audit"},
			storages: []proxmox.Storage{{Name: "local", Content: []string{"iso"}, Enabled: true}}, iso: []string{"isn't active on node pve1"},
		},
	} {
		spec, storages := s, good
		if tc.noPool {
			spec.ResourcePool = ""
		}
		if tc.storages != nil {
			storages = tc.storages
		}
		m := spec.judge(grants(tc.grants...), storages)
		if !strings.Contains(m.agent, tc.agent) || (tc.agent == "") != (m.agent == "") {
			t.Errorf("%s: agent: %q, want %q", tc.name, m.agent, tc.agent)
		}
		for _, want := range tc.iso {
			if !strings.Contains(m.iso, want) {
				t.Errorf("%s: iso: %q, want …%q…", tc.name, m.iso, want)
			}
		}
		if len(tc.iso) == 0 && m.iso != "" {
			t.Errorf("%s: iso: %q, want nothing", tc.name, m.iso)
		}
	}
}

func TestAutoTakesTheFirstWayThatWorksAndSaysWhyNotTheOthers(t *testing.T) {
	on, off := proxmox.VMConfig{AgentEnabled: true}, proxmox.VMConfig{}
	with := map[Way]Seeder{WayISO: seederThatTakes(true), WaySnippet: seederThatTakes(true)}
	for _, tc := range []struct {
		name    string
		way     Way
		cfg     proxmox.VMConfig
		seeders map[Way]Seeder
		m       means
		want    Way
		why     string
		problem string
	}{
		{"agent", WayAuto, on, with, means{}, WayAgent, "the template's guest agent is on and the token may use it", ""},
		{"agent off", WayAuto, off, with, means{}, WayISO, "agent: the template's guest agent is off; run: qm set 9000 --agent enabled=1", ""},
		{"agent not allowed", WayAuto, on, with, means{agent: "the token lacks A"}, WayISO, "agent: the token lacks A", ""},
		{"neither", WayAuto, on, with, means{agent: "lacks A", iso: "lacks I"}, WaySnippet, "agent: lacks A; iso: lacks I", ""},
		{
			"none", WayAuto, off,
			map[Way]Seeder{WayISO: seederThatTakes(false)},
			means{},
			"", "",
			`template "t" (VM 9000): no hand-off works: agent: the template's guest agent is off; run: qm set 9000 --agent enabled=1; iso: no place; snippet: no SNIPPETS_DIR is set`,
		},
		{"iso wanted", WayISO, on, with, means{agent: "lacks A"}, WayISO, "the configuration says so", ""},
		{"iso not allowed", WayISO, on, with, means{iso: "lacks I"}, WayISO, "the configuration says so", `template "t" (VM 9000): lacks I`},
		{"agent wanted", WayAgent, off, nil, means{}, WayAgent, "the configuration says so", `template "t" (VM 9000): the template's guest agent is off; run: qm set 9000 --agent enabled=1`},
	} {
		way, why, problem := Spec{Way: tc.way}.choose("t", template{id: 9000, cfg: tc.cfg}, tc.seeders, tc.m)
		if way != tc.want || why != tc.why && problem == "" || problem != tc.problem {
			t.Errorf("%s: %q, %q, %q; want %q, %q, %q", tc.name, way, why, problem, tc.want, tc.why, tc.problem)
		}
	}
}

// seederThatTakes is a seeder that has a place in every VM, or in none.
type seederThatTakes bool

func (s seederThatTakes) CheckVM(map[string]string) error {
	if !s {
		return errors.New("no place")
	}
	return nil
}
func (seederThatTakes) Needs() cloudinit.Needs                            { return "" }
func (seederThatTakes) Lasts() bool                                       { return false }
func (seederThatTakes) Eject(map[string]string, string) map[string]string { return nil }
func (seederThatTakes) Clear(context.Context, string) error               { return nil }
func (seederThatTakes) Prepare(context.Context, handoff.SeedGuest, handoff.SeedIdentity) (map[string]string, error) {
	return nil, nil
}

func (seederThatTakes) Sweep(context.Context, func(string) bool, time.Duration) ([]string, error) {
	return nil, nil
}
