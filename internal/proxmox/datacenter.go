package proxmox

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// BackupJob is a job of Datacenter, Backup. What it saves is that of Pool, else VMIDs, else all but Exclude, on Node alone where that is
// set (pve-manager PVE/VZDump.pm, get_included_guests).
type BackupJob struct {
	ID      string
	Enabled bool
	Pool    string
	VMIDs   []int
	All     bool
	Exclude []int
	Node    string
}

// BackupJobs reads GET /cluster/backup; it takes Sys.Audit on "/".
func (c *Client) BackupJobs(ctx context.Context) ([]BackupJob, error) {
	var list []struct {
		ID      text  `json:"id"`
		Enabled *flag `json:"enabled"` // 1 when it isn't there
		Pool    text  `json:"pool"`
		VMIDs   words `json:"vmid"`
		All     flag  `json:"all"`
		Exclude words `json:"exclude"`
		Node    text  `json:"node"`
	}
	err := c.do(ctx, call{op: "list backup jobs", method: http.MethodGet, path: "/cluster/backup", limit: local}, &list)
	if err != nil {
		return nil, err
	}
	out := make([]BackupJob, 0, len(list))
	for _, w := range list {
		out = append(out, BackupJob{
			ID: string(w.ID), Enabled: w.Enabled == nil || bool(*w.Enabled), Pool: string(w.Pool), VMIDs: numbers(w.VMIDs), All: bool(w.All),
			Exclude: numbers(w.Exclude), Node: string(w.Node),
		})
	}
	return out, nil
}

// numbers leaves out what is none.
func numbers(list []string) []int {
	var out []int
	for _, s := range list {
		if n, err := strconv.Atoi(s); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// FirewallEnabled reads from GET /cluster/firewall/options whether the firewall is on: off, no rule of any VM counts. It takes Sys.Audit
// on "/".
func (c *Client) FirewallEnabled(ctx context.Context) (bool, error) {
	var w struct {
		Enable flag `json:"enable"`
	}
	err := c.do(ctx, call{op: "read firewall options", method: http.MethodGet, path: "/cluster/firewall/options", limit: local}, &w)
	return bool(w.Enable), err
}

// VMFirewall are the firewall options of a VM, as far as they decide what gets through.
type VMFirewall struct {
	Enabled, DHCP, IPFilter bool
	PolicyIn                string // "ACCEPT", "DROP", "REJECT"; "" is DROP
}

// VMFirewall reads GET /nodes/{node}/qemu/{vmid}/firewall/options; it takes VM.Audit. A clone has its template's.
func (c *Client) VMFirewall(ctx context.Context, node string, vmid int) (VMFirewall, error) {
	var w struct {
		Enable   flag `json:"enable"`
		DHCP     flag `json:"dhcp"`
		IPFilter flag `json:"ipfilter"`
		PolicyIn text `json:"policy_in"`
	}
	err := c.do(ctx, call{
		op: "read firewall options of VM " + strconv.Itoa(vmid), method: http.MethodGet, path: vmPath(node, vmid, "firewall/options"), limit: remote,
	}, &w)
	return VMFirewall{Enabled: bool(w.Enable), DHCP: bool(w.DHCP), IPFilter: bool(w.IPFilter), PolicyIn: string(w.PolicyIn)}, err
}

// Bridges reads from GET /nodes/{node}/network the names of a node's bridges, those of SDN too, that the token may look at or use
// (SDN.Audit, SDN.Use).
func (c *Client) Bridges(ctx context.Context, node string) ([]string, error) {
	var list []struct {
		Name text `json:"iface"`
	}
	err := c.do(ctx, call{
		op: "list bridges of node " + node, method: http.MethodGet, path: nodePath(node, "network"), params: url.Values{"type": {"any_bridge"}}, limit: remote,
	}, &list)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(list))
	for _, w := range list {
		out = append(out, string(w.Name))
	}
	return out, nil
}
