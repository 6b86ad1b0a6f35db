package check_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly/internal/check"
	"mayfly/internal/config"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

func TestAllIsWellOnTheClusterOfTheGuide(t *testing.T) {
	found := look(t, setting{})
	if worst := check.Worst(found); worst != check.OK {
		t.Errorf("worst finding %s: %+v", worst, bad(found))
	}
	for _, id := range []string{
		"proxmox-reachable", "proxmox-version", "proxmox-certificate", "proxmox-clock", "proxmox-node", "resource-pool", "proxmox-privileges", "template",
		"storage", "vmid-range", "github-reachable", "github-clock", "github-token-expiry", "github-permission", "github-labels",
	} {
		seen := false
		for _, f := range found {
			seen = seen || f.ID == id
		}
		if !seen {
			t.Errorf("no finding %s among %+v", id, found)
		}
	}
}

// The default labels of the environment hold one of GitHub's own runners.
func TestDefaultLabelsAreNoFinding(t *testing.T) {
	found := look(t, setting{env: []string{"RUNNER_LABELS=energyplus,linux,x64,ubuntu-22.04"}})
	if worst := check.Worst(found); worst != check.OK {
		t.Errorf("worst finding %s: %+v", worst, bad(found))
	}
	for _, f := range found {
		if f.Level != check.OK && f.Level != check.Unseen {
			t.Errorf("got %+v", f)
		}
		if f.ID == "github-labels" && !strings.Contains(f.Reason, "only ubuntu-22.04 are left to GitHub's own") {
			t.Errorf("got %+v, want it explained", f)
		}
	}
}

// set changes the config of a VM of the node pve1.
func set(t *testing.T, vmid int, options map[string]string, del ...string) func(*proxmox.Client) {
	return func(a *proxmox.Client) {
		if err := a.SetConfig(context.Background(), "pve1", vmid, options, del, ""); err != nil {
			t.Error(err)
		}
	}
}

// image is the note of a template that Mayfly built so many days ago.
func image(days, contract int) map[string]string {
	i := runner.Image{
		Installation: "energyplus-runner-300", Name: "debian-12", Version: "20260101-0000", RunnerVersion: "2.330.0",
		RunnerReleased: virtualStart.AddDate(0, 0, -days), Built: virtualStart, Contract: contract, VMID: 9000,
	}
	return map[string]string{"description": i.Description()}
}

// virtualStart is when time begins inside testing/synctest.
var virtualStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// mistake is one thing that isn't well, and how it has to be told.
type mistake struct {
	name    string
	setting setting
	id      string
	level   check.Level
	reason  string
	cure    string
}

// mistakes are all that the checks know to tell by the two servers.
func mistakes(t *testing.T) []mistake {
	return []mistake{
		{"Proxmox too old", setting{pve: pve.Options{Release: "8.3.5"}}, "proxmox-version", check.Error, "8.3.5 is too old", "upgrade"},
		{"Proxmox of before 8", setting{pve: pve.Options{Release: "7.4-17"}}, "proxmox-version", check.Error, "7.4-17 is too old", "upgrade"},
		{"Proxmox newer than known", setting{pve: pve.Options{Release: "10.0.1"}}, "proxmox-version", check.Warning, "10.0.1 is newer", "watch"},
		{"certificate not checked", setting{file: func(c *config.Config) { c.Proxmox.Fingerprint, c.Proxmox.VerifyTLS = "", false }}, "proxmox-certificate", check.Warning, "is not checked", "PROXMOX_FINGERPRINT"},
		{"wrong secret", setting{token: testToken}, "proxmox-token", check.Error, "", "pveum user token add mayfly@pve dispatcher"},
		{"node by another name", setting{file: func(c *config.Config) { c.Proxmox.Node = "pve7" }}, "proxmox-node", check.Error, "which has pve1", "PROXMOX_NODE"},
		{"no such resource pool", setting{file: func(c *config.Config) { c.Proxmox.ResourcePool = "cj" }}, "resource-pool", check.Error, "doesn't exist", "pveum pool add cj"},
		{"no resource pool", setting{file: func(c *config.Config) { c.Proxmox.ResourcePool = "" }}, "resource-pool", check.Warning, "every VM", "pveum pool add ci "},
		{"clock a minute ahead", setting{through: shifted(time.Minute)}, "proxmox-clock", check.Warning, "ahead of", "chronyc"},
		{"clock behind by far", setting{through: shifted(-10 * time.Minute)}, "github-clock", check.Error, "behind this machine's; GitHub refuses", "timedatectl"},

		{"template missing", setting{env: []string{"TEMPLATE_NAME=other"}}, "template-missing", check.Error, "isn't on node pve1", "pveum pool modify ci-templates --vms VMID"},
		{"image not built", setting{env: []string{"TEMPLATE_IMAGE=debian-12"}}, "template-missing", check.Error, "no promoted version on node pve1", "mayfly image build debian-12"},
		{"agent off", setting{pve: pve.Options{TemplateAgentOff: true}}, "template-settings", check.Error, "has no guest agent", "qm set 9000 --agent enabled=1"},
		{"protected", setting{admin: set(t, 9000, map[string]string{"protection": "1"})}, "template-settings", check.Warning, "is protected", "qm set 9000 --protection 0"},
		{"starts with the node", setting{admin: set(t, 9000, map[string]string{"onboot": "1"})}, "template-settings", check.Warning, "starts with its node", "qm set 9000 --onboot 0"},
		{"boots from the network", setting{admin: set(t, 9000, map[string]string{"boot": "order=net0;scsi0"})}, "template-settings", check.Warning, `boots from "net0" first`, "qm set 9000 --boot order=scsi0"},
		{"locked", setting{server: lock(t, 9000, "backup")}, "template-lock", check.Warning, "is locked (backup)", "qm unlock 9000"},
		{"disk on IDE", setting{through: rewritten("/qemu/9000/config", `scsi0`, `ide0`)}, "template-settings", check.Warning, "on ide0, an emulated bus", "with scsi0"},
		{"SCSI controller by default", setting{admin: set(t, 9000, nil, "scsihw")}, "template-settings", check.Warning, "an emulated SCSI controller", "qm set 9000 --scsihw virtio-scsi-single"},
		{"image in a drive", setting{through: rewritten("/qemu/9000/config", `"ostype"`, `"ide3":"local:iso/setup.iso,media=cdrom","ostype"`)}, "template-settings", check.Warning, "has local:iso/setup.iso in drive ide3", "qm set 9000 --ide3 none,media=cdrom"},
		{"no linked clones", setting{through: rewritten("/nodes/pve1/storage", `"lvmthin"`, `"lvm"`)}, "template-linked-clone", check.Error, "storage local-lvm of type lvm", "full_clone: true"},
		{"disk of a pool smaller than the template's", setting{file: func(c *config.Config) { c.Pools[0].Disk = 4 * runner.GiB }}, "template-disk", check.Warning, "disks don't shrink", "take disk out of pool energyplus"},
		{"foreign contract", setting{admin: set(t, 9000, image(1, 99))}, "template-contract", check.Error, "contract 99", "mayfly image build debian-12"},
		{"runner release ages", setting{admin: set(t, 9000, image(16, 2))}, "template-runner-release", check.Warning, "released 16 days ago", "mayfly image build debian-12"},
		{"runner release is old", setting{admin: set(t, 9000, image(26, 2))}, "template-runner-release", check.Error, "released 26 days ago", "mayfly image build debian-12"},

		{"bridge that isn't there", setting{through: rewritten("/nodes/pve1/network", `"vmbr0"`, `"vmbr1"`)}, "bridge", check.Error, "which has vmbr1", "qm set 9000 --net0 virtio,bridge=BRIDGE"},
		{"bridge of builds on one of two nodes", setting{
			pve: pve.Options{Nodes: []string{"pve1", "pve2"}}, features: []check.Feature{check.Build}, file: func(c *config.Config) { c.Image.Nodes = []string{"pve1", "pve2"} },
			through: rewritten("/nodes/pve2/network", `"vmbr0"`, `"vmbr1"`),
		}, "bridge", check.Error, "which has vmbr1", "set image.bridge"},
		{"rules filter by address", setting{pve: pve.Options{TemplateFirewall: map[string]string{"enable": "1", "dhcp": "1", "ipfilter": "1"}}}, "firewall", check.Warning, "ipfilter", "pvesh set /nodes/pve1/qemu/9000/firewall/options --ipfilter 0"},
		{"rules without DHCP", setting{pve: pve.Options{TemplateFirewall: map[string]string{"enable": "1"}}}, "firewall", check.Warning, "DHCP", "--dhcp 1"},
		{"rules that don't count on the card", setting{
			pve: pve.Options{TemplateFirewall: map[string]string{"enable": "1", "dhcp": "1"}}, through: rewritten("/qemu/9000/config", `,firewall=1`, ``),
		}, "firewall", check.Warning, "net0 has no firewall=1", "qm set 9000 --net0"},
		{"firewall of the datacenter off", setting{pve: pve.Options{TemplateFirewall: map[string]string{"enable": "1", "dhcp": "1"}}, audits: true}, "firewall", check.Warning, "is off, so that the rules", "Datacenter → Firewall"},
		{"firewall of the datacenter hidden", setting{pve: pve.Options{TemplateFirewall: map[string]string{"enable": "1", "dhcp": "1"}}}, "firewall", check.Unseen, "Sys.Audit on /", "--roles MayflyNode --propagate 0"},

		{"tags of a list", setting{pve: pve.Options{Datacenter: pve.Datacenter{UserAllow: "list", UserAllowList: []string{"mayfly"}}}, audits: true}, "tags", check.Warning, "may not set mayfly-energyplus-runner-300, pool-energyplus (user tag access: list)", "User Tag Access: add mayfly-energyplus-runner-300, pool-energyplus"},
		{"no tags at all", setting{pve: pve.Options{Datacenter: pve.Datacenter{UserAllow: "none"}}, audits: true, features: []check.Feature{check.Build}}, "tags", check.Error, "builds fail", "add mayfly-image, mayfly-promoted, mayfly-build"},
		{"registered tags", setting{pve: pve.Options{Datacenter: pve.Datacenter{RegisteredTags: []string{"mayfly"}}}, audits: true}, "tags", check.Warning, "mayfly are registered", "Registered Tags: take out mayfly"},
		{"rules for tags hidden", setting{pve: pve.Options{Datacenter: pve.Datacenter{UserAllow: "list"}}}, "tags", check.Unseen, "by default they may", "User Tag Access"},

		{"backup of all", setting{pve: backup(pve.BackupJob{ID: "nightly", All: true, Exclude: []int{300, 301}}), audits: true}, "backup-jobs", check.Warning, "saves all VMs but those excluded", "Datacenter → Backup → nightly"},
		{"backup of the resource pool", setting{pve: backup(pve.BackupJob{ID: "pool", Pool: "ci"}), audits: true}, "backup-jobs", check.Warning, "saves resource pool ci", "Datacenter → Backup → pool"},
		{"backup by VMIDs", setting{pve: backup(pve.BackupJob{ID: "some", VMIDs: []int{100, 305, 319}}), audits: true}, "backup-jobs", check.Warning, "names 2 VMIDs of runners", "Datacenter → Backup → some"},
		{"backup jobs hidden", setting{}, "backup-jobs", check.Unseen, "Sys.Audit on /", "Datacenter → Backup; or let the token see"},

		{"CT_ID of a VM", setting{features: []check.Feature{check.Bootstrap}, env: []string{"CT_ID=211"}}, "container-vmid", check.Error, "is taken", "CT_ID"},
		{"no template in the index", setting{features: []check.Feature{check.Bootstrap}}, "container-template", check.Error, "index of appliances", "pveam update"},
		{"storage without containers", setting{features: []check.Feature{check.Bootstrap}, env: []string{"CT_STORAGE=local"}, pve: pve.Options{MayUpload: true}}, "storage-content", check.Error, "not rootdir", "pvesm set local --content"},
		{"storage without templates", setting{features: []check.Feature{check.Bootstrap}, env: []string{"CT_TEMPLATE_STORAGE=local-lvm"}}, "storage-content", check.Error, "not vztmpl", "pvesm set local-lvm --content"},
		{"bridge of the container", setting{features: []check.Feature{check.Bootstrap}, through: rewritten("/nodes/pve1/network", `"vmbr0"`, `"vmbr1"`)}, "bridge", check.Error, "which has vmbr1", "CT_BRIDGE"},

		{"no hand-off works", setting{env: []string{"RUNNER_HANDOFF=auto"}, pve: pve.Options{TemplateAgentOff: true}}, "handoff", check.Error, "no hand-off works: agent: the template's guest agent is off", "guest agent"},
		{"runner group of a repository", setting{file: func(c *config.Config) { c.Pools[0].GroupID = 7 }}, "github-group", check.Error, "can only be in 1", "runner_group_id"},

		{"others in the range", setting{env: []string{"RUNNER_ID_START=200", "RUNNER_ID_END=299"}}, "vmid-unclaimed", check.Warning, "211 (its marker is", "RUNNER_ID_START"},
		{"guests that nobody sees", setting{env: []string{"RUNNER_ID_START=200", "RUNNER_ID_END=299"}}, "vmid-clash", check.Warning, "207, 216", "RUNNER_ID_START"},
		{"range too small", setting{env: []string{"RUNNER_ID_START=299", "RUNNER_ID_END=302"}}, "vmid-range", check.Warning, "leave 3 for up to 4 runners", "RUNNER_ID_END"},
		{"range full", setting{env: []string{"RUNNER_ID_START=299", "RUNNER_ID_END=299", "MAX_TOTAL_RUNNERS=1"}}, "vmid-range", check.Error, "all taken", "RUNNER_ID_END"},

		{"storage without ISO images", setting{env: []string{"RUNNER_HANDOFF=iso", "PROXMOX_STORAGE=local-lvm"}}, "storage-content", check.Error, "not iso", "pvesm set local-lvm --content images,rootdir,iso"},
		{"storage disabled", setting{through: rewritten("/nodes/pve1/storage", `"enabled":1`, `"enabled":0`)}, "storage-inactive", check.Error, "is disabled", "pvesm set local-lvm --disable 0"},
		{"storage not active", setting{through: rewritten("/nodes/pve1/storage", `"active":1`, `"active":0`)}, "storage-inactive", check.Error, "isn't active on the node", "pvesm status --storage local-lvm"},
		{"storages that can't be read", setting{through: broken("/nodes/pve1/storage")}, "proxmox-storages", check.Error, "", "pvesm status"},
		{"resources that can't be read", setting{through: broken("/cluster/resources")}, "proxmox-resources", check.Error, "", "pvestatd"},
		{"privileges that can't be read", setting{through: broken("/access/permissions")}, "proxmox-privileges", check.Error, "", "pveum user token permissions ci@pve mayfly"},
		{"storage nearly full", setting{through: rewritten("/nodes/pve1/storage", `"avail":`, `"avail":1,"was":`)}, "storage-space", check.Warning, "free of", "free space"},
		{"storage missing", setting{features: []check.Feature{check.Build}, file: func(c *config.Config) { c.Image.Storage = "nvme" }}, "storage-missing", check.Error, "isn't on the node", "image.storage"},

		{"node of builds by another name", setting{features: []check.Feature{check.Build}, file: func(c *config.Config) { c.Image.Nodes = []string{"pve1", "pve8"} }}, "proxmox-node", check.Error, "which has pve1", "image.nodes"},

		{"token of GitHub ends", setting{gh: gh.Options{Tokens: expiring(3 * 24 * time.Hour)}, file: useToken}, "github-token-expiry", check.Warning, "ends in 3 days, on 2000-01-04", "Regenerate token"},
		{"token without Actions", setting{gh: gh.Options{Tokens: limited("administration")}, file: useToken}, "github-permission", check.Error, "can't read jobs", "Actions: Read and write"},
		{"token without Administration", setting{gh: gh.Options{Tokens: limited("actions")}, file: useToken}, "github-permission", check.Error, "can't read runners", "Administration: Read and write"},
		{"token for another repository", setting{gh: gh.Options{Tokens: []gh.TokenSpec{{Token: otherToken, Repositories: []string{"NREL/other"}}}}, file: useToken}, "github-target", check.Error, "", "add NREL/EnergyPlus"},
		{"wrong token of GitHub", setting{file: useToken}, "github-token", check.Error, "", "GITHUB_TOKEN"},
		{"forks in public", setting{gh: gh.Options{Public: true}, env: []string{"RUNNER_FORKS=allow"}}, "github-forks", check.Error, "is public, and pools energyplus run", "RUNNER_FORKS=deny"},
		{"only GitHub's own labels", setting{env: []string{"RUNNER_LABELS=Ubuntu-22.04"}}, "github-labels", check.Warning, "Ubuntu-22.04", "runs-on: [self-hosted, YOURS, Ubuntu-22.04]"},
	}
}

func TestEachMistakeIsToldWithItsCure(t *testing.T) {
	for _, tc := range mistakes(t) {
		t.Run(tc.name, func(t *testing.T) {
			f := finding(t, look(t, tc.setting), tc.id)
			if f.Level != tc.level || !strings.Contains(f.Reason, tc.reason) || !strings.Contains(f.Cure, tc.cure) {
				t.Errorf("got %+v, want %s with %q and cure %q", f, tc.level, tc.reason, tc.cure)
			}
		})
	}
}

// backup is a cluster with one backup job.
func backup(job pve.BackupJob) pve.Options {
	return pve.Options{Datacenter: pve.Datacenter{Backups: []pve.BackupJob{job}}}
}

// What saves no runner, or never runs, is no finding.
func TestBackupJobsThatLeaveRunnersOutAreWell(t *testing.T) {
	var all []int
	for id := 300; id <= 319; id++ {
		all = append(all, id)
	}
	o := pve.Options{Datacenter: pve.Datacenter{Backups: []pve.BackupJob{
		{ID: "off", All: true, Disabled: true},
		{ID: "elsewhere", All: true, Node: "pve2"},
		{ID: "excluded", All: true, Exclude: all},
		{ID: "templates", Pool: "ci-templates"},
		{ID: "some", VMIDs: []int{100, 299, 320}},
	}}}
	for _, f := range look(t, setting{pve: o, audits: true}) {
		if f.ID == "backup-jobs" && (f.Level != check.OK || !strings.HasPrefix(f.Reason, "5, and none")) {
			t.Errorf("got %+v", f)
		}
	}
}

func TestAutoSaysWhichHandOffItComesTo(t *testing.T) {
	for _, f := range look(t, setting{env: []string{"RUNNER_HANDOFF=auto"}}) {
		if f.ID == "handoff" {
			if f.Level != check.OK || !strings.HasPrefix(f.Reason, "comes to agent: the template's guest agent is on") {
				t.Errorf("got %+v", f)
			}
			return
		}
	}
	t.Error("no finding of the hand-off")
}

func TestRulesThatLetAllInNeedNoneForDHCP(t *testing.T) {
	for _, f := range look(t, setting{pve: pve.Options{TemplateFirewall: map[string]string{"enable": "1", "policy_in": "ACCEPT"}, Datacenter: pve.Datacenter{Firewall: true}}, audits: true}) {
		if f.ID == "firewall" && f.Level != check.OK {
			t.Errorf("got %+v", f)
		}
	}
}

// lock puts a lock on a VM.
func lock(t *testing.T, vmid int, name string) func(*pve.Server) {
	return func(s *pve.Server) {
		if err := s.SetLock(vmid, name); err != nil {
			t.Error(err)
		}
	}
}

// rewritten is a server that says something else on the path that ends so.
func rewritten(path, from, to string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return through(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err != nil || !strings.HasSuffix(r.URL.Path, path) {
				return resp, err
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return nil, err
			}
			if err := resp.Body.Close(); err != nil {
				return nil, err
			}
			resp.Body = io.NopCloser(strings.NewReader(strings.ReplaceAll(string(body), from, to)))
			return resp, nil
		})
	}
}

// broken is a server that fails on the path that ends so.
func broken(path string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return through(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, path) {
				return nil, errors.New("connection reset")
			}
			return next.RoundTrip(r)
		})
	}
}

const otherToken = "github_pat_other"

func useToken(c *config.Config) { c.GitHub.Token = runner.NewSecret(otherToken) }

func expiring(in time.Duration) []gh.TokenSpec {
	return []gh.TokenSpec{{Token: otherToken, Expires: virtualStart.Add(in + time.Hour)}}
}

func limited(permission string) []gh.TokenSpec {
	return []gh.TokenSpec{{Token: otherToken, Permissions: map[string]string{permission: "write"}}}
}

// through makes a transport of a function.
type through func(*http.Request) (*http.Response, error)

func (f through) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// shifted is a server whose clock is that far ahead.
func shifted(by time.Duration) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return through(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil {
				resp.Header.Set("Date", time.Now().Add(by).UTC().Format(http.TimeFormat))
			}
			return resp, err
		})
	}
}

func TestWhatCouldNotBeReadIsNotTakenForMissing(t *testing.T) {
	for _, path := range []string{"/cluster/resources", "/nodes/pve1/storage"} {
		found := bad(look(t, setting{through: broken(path)}))
		if len(found) != 1 {
			t.Errorf("without %s: %+v, want that alone", path, found)
		}
	}
}

func TestStoragesOfBuildsAreLookedAtOnEachNode(t *testing.T) {
	found := look(t, setting{
		pve: pve.Options{Nodes: []string{"pve1", "pve2"}}, features: []check.Feature{check.Build},
		file: func(c *config.Config) { c.Image.Nodes = []string{"pve1", "pve2"} },
	})
	on := map[string]int{}
	for _, f := range found {
		if strings.HasPrefix(f.What, "storage ") {
			on[strings.Fields(f.What)[3]]++
		}
	}
	if on["pve1"] < 3 || on["pve1"] != on["pve2"] {
		t.Errorf("looked at %v, want three uses on each node; findings %+v", on, found)
	}
}

func TestLatestRunnerReleaseIsNeverTooOld(t *testing.T) {
	note := image(40, 2)
	note["description"] = strings.ReplaceAll(note["description"], "2.330.0", "2.336.0") // the stand-in's latest
	for _, f := range look(t, setting{admin: set(t, 9000, note)}) {
		if f.ID != "template-runner-release" {
			continue
		}
		if f.Level != check.OK || !strings.Contains(f.Reason, "40 days ago, GitHub's latest") {
			t.Errorf("got %+v", f)
		}
		return
	}
	t.Error("no finding of the release")
}

func TestServersThatDontAnswerAreOneFindingEach(t *testing.T) {
	down := func(http.RoundTripper) http.RoundTripper {
		return through(func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") })
	}
	found := look(t, setting{through: down})
	if len(found) != 2 || found[0].ID != "proxmox-reachable" || found[1].ID != "github-reachable" || check.Worst(found) != check.Error {
		t.Errorf("found %+v, want that neither answers", found)
	}
}

func TestChecksOnlyRead(t *testing.T) {
	var changed []string
	watch := func(next http.RoundTripper) http.RoundTripper {
		return through(func(r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodGet {
				changed = append(changed, r.Method+" "+r.URL.Path)
			}
			return next.RoundTrip(r)
		})
	}
	look(t, setting{through: watch, features: check.Features()})
	if len(changed) > 0 {
		t.Errorf("sent %v", changed)
	}
}
