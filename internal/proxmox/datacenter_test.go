package proxmox_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/proxmox"
)

func TestBackupJobsInEachFormThatTheyComeIn(t *testing.T) {
	w := newWire(t, false, always(reply("200 OK", `{"data":[
		{"id":"backup-1","enabled":1,"all":"1","exclude":"100,101","schedule":"sun 01:00","storage":"pbs","type":"vzdump"},
		{"id":"backup-2","enabled":"0","pool":"ci","node":"pve2"},
		{"id":"backup-3","vmid":"200;201"},
		{"id":"backup-4","vmid":300}]}`)))
	got, err := newClient(t, nil, w.URL).BackupJobs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []proxmox.BackupJob{
		{ID: "backup-1", Enabled: true, All: true, Exclude: []int{100, 101}},
		{ID: "backup-2", Pool: "ci", Node: "pve2"},
		{ID: "backup-3", Enabled: true, VMIDs: []int{200, 201}},
		{ID: "backup-4", Enabled: true, VMIDs: []int{300}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

func TestFirewallOptions(t *testing.T) {
	w := newWire(t, false, always(reply("200 OK", `{"data":{"enable":1,"dhcp":"1","ipfilter":0,"policy_in":"REJECT","digest":"x"}}`)))
	c := newClient(t, nil, w.URL)
	if on, err := c.FirewallEnabled(t.Context()); !on || err != nil {
		t.Errorf("datacenter's: %v, %v", on, err)
	}
	got, err := c.VMFirewall(t.Context(), "pve1", 9000)
	if want := (proxmox.VMFirewall{Enabled: true, DHCP: true, PolicyIn: "REJECT"}); err != nil || got != want {
		t.Errorf("VM's: %+v, %v, want %+v", got, err, want)
	}
}

func TestBridgesAreNamed(t *testing.T) {
	w := newWire(t, false, always(reply("200 OK", `{"data":[{"iface":"vmbr0","type":"bridge"},{"iface":"runners","type":"vnet","active":true}]}`)))
	got, err := newClient(t, nil, w.URL).Bridges(t.Context(), "pve1")
	if diff := cmp.Diff([]string{"vmbr0", "runners"}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
