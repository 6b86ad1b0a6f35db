package record

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"mayfly/internal/config"
	"mayfly/internal/fleet"
	"mayfly/internal/runner"
)

// fingerprint stands for a pinned certificate.
var fingerprint = strings.TrimSuffix(strings.Repeat("00:", 32), ":")

// config makes a copy of the configuration that the checks judge alike, with the same stand-ins as the replies. It comes first: names are
// numbered as the configuration has them.
func (r *redactor) config(c *config.Config) *config.Config {
	n := r.names
	installation := n.name("installation", c.Installation)
	realm := "pve"
	if strings.Contains(c.Proxmox.TokenID, "@pam!") {
		realm = "pam"
	}
	out := &config.Config{
		Installation: installation,
		Proxmox: config.Proxmox{
			Endpoints: r.endpoints(c.Proxmox.Endpoints), Node: n.name("node", c.Proxmox.Node), TokenID: "user1@" + realm + "!token1",
			VerifyTLS: c.Proxmox.VerifyTLS, Storage: n.name("storage", c.Proxmox.Storage), ResourcePool: n.name("pool", c.Proxmox.ResourcePool),
		},
		GitHub: config.GitHub{APIURL: apiURL(c.GitHub), Pace: c.GitHub.Pace}, VMIDs: c.VMIDs, NamePrefix: n.name("name", c.NamePrefix), MaxRunners: c.MaxRunners,
		PollInterval: c.PollInterval, Handoff: c.Handoff, Web: config.Web{Listen: "127.0.0.1:9180"}, Log: config.Log{Level: "info", Format: "text"},
		UserDataTemplate: config.DefaultUserData(),
	}
	if c.Handoff == config.HandoffSnippet {
		out.SnippetsDir = "/mnt/snippets"
	}
	if c.Proxmox.Fingerprint != "" || c.Proxmox.CAFile != "" {
		out.Proxmox.Fingerprint, out.Proxmox.VerifyTLS = fingerprint, true
	}
	out.Placement = c.Placement
	out.Placement.Weights = nil // by nodes' names
	for _, name := range c.Proxmox.Nodes {
		if name != config.AllNodes {
			name = n.name("node", name)
		}
		out.Proxmox.Nodes = append(out.Proxmox.Nodes, name)
	}
	for _, p := range c.Pools {
		out.Pools = append(out.Pools, r.pool(p))
	}
	r.image(&out.Image, c.Image)
	b := c.Bootstrap
	out.Bootstrap = config.Bootstrap{
		ID: b.ID, Hostname: n.name("host", b.Hostname), Storage: n.name("storage", b.Storage), Bridge: n.name("bridge", b.Bridge), Cores: b.Cores, Memory: b.Memory,
		Disk: b.Disk, TemplateStorage: n.name("storage", b.TemplateStorage), IP: "dhcp",
	}
	out.Lease = config.Lease{Enabled: c.Lease.Enabled, Mapping: n.name("mapping", c.Lease.Mapping), TTL: c.Lease.TTL}
	// Tags are made of names, and stay so.
	for i, p := range c.Pools {
		for j, tag := range fleet.Tags(c.Installation, p.Name) {
			n.of[tag] = fleet.Tags(installation, out.Pools[i].Name)[j]
		}
	}
	return out
}

// endpoints keeps how many there are and whether they speak TLS.
func (r *redactor) endpoints(list []string) []string {
	var out []string
	for i, e := range list {
		u, err := url.Parse(e)
		if err == nil {
			r.names.of[u.Hostname()] = fmt.Sprintf("proxmox%d.example", i+1)
		}
		if err == nil && u.Scheme == "http" {
			out = append(out, fmt.Sprintf("http://127.0.0.1:%d", 8006+i)) // plain ones are this machine's own
			continue
		}
		out = append(out, fmt.Sprintf("https://proxmox%d.example:8006", i+1))
	}
	return out
}

// apiURL is GitHub's own, or that of some GitHub Enterprise Server.
func apiURL(g config.GitHub) string {
	switch {
	case g.APIURL == "https://api.github.com":
		return g.APIURL
	case g.Hosted():
		return "https://api.octo.ghe.com"
	}
	return "https://ghes.example/api/v3"
}

func (r *redactor) pool(p runner.Pool) runner.Pool {
	n := r.names
	q := p
	q.Name, q.NamePrefix, q.Template, q.Image = n.name("pool-", p.Name), n.name("name", p.NamePrefix), n.name("name", p.Template), n.name("image-", p.Image)
	q.Target = runner.Target{Owner: n.name("owner", p.Target.Owner), Repo: n.name("repo", p.Target.Repo)}
	q.More = nil
	for _, t := range p.More {
		q.More = append(q.More, runner.Target{Owner: n.name("owner", t.Owner), Repo: n.name("repo", t.Repo)})
	}
	q.RunnerUser, q.Storage, q.Labels = "runner", n.name("storage", p.Storage), nil
	for _, l := range p.Labels {
		q.Labels = append(q.Labels, n.name("label", l))
	}
	q.Jobs = runner.Policy{Events: slices.Clone(p.Jobs.Events), DenyForks: p.Jobs.DenyForks}
	return q
}

func (r *redactor) image(out *config.Image, i config.Image) {
	n := r.names
	*out = config.Image{
		Schedule: i.Schedule, VMIDs: i.VMIDs, Storage: n.name("storage", i.Storage), FilesStorage: n.name("storage", i.FilesStorage),
		ResourcePool: n.name("pool", i.ResourcePool), Bridge: n.name("bridge", i.Bridge), VLAN: i.VLAN, Cores: i.Cores, Memory: i.Memory, Disk: i.Disk, Keep: i.Keep,
		Timeout: i.Timeout, Fetch: i.Fetch, PackagesInstalled: i.PackagesInstalled, Docker: i.Docker,
	}
	for _, name := range i.Names {
		out.Names = append(out.Names, n.name("image-", name))
	}
	for _, node := range i.Nodes {
		out.Nodes = append(out.Nodes, n.name("node", node))
	}
}
