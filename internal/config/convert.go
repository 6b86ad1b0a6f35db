package config

import (
	"slices"
	"time"

	"mayfly/internal/runner"
)

// config makes a Config of a complete File.
func (f *File) config() *Config {
	c := &Config{
		Installation: f.Installation,
		Proxmox: Proxmox{
			Endpoints: slices.Clone(f.Proxmox.Endpoints), Node: f.Proxmox.Node, Nodes: slices.Clone(f.Proxmox.Nodes),
			TokenID: f.Proxmox.TokenID, TokenSecret: f.Proxmox.TokenSecret,
			VerifyTLS: f.Proxmox.VerifyTLS, CAFile: f.Proxmox.CAFile, Fingerprint: f.Proxmox.Fingerprint,
			Storage: f.Proxmox.Storage, ResourcePool: f.Proxmox.ResourcePool,
		},
		GitHub:           GitHub{APIURL: f.GitHub.APIURL, Token: f.GitHub.Token, Pace: time.Duration(f.GitHub.Pace)},
		VMIDs:            VMIDRange(f.VMIDs),
		NamePrefix:       f.NamePrefix,
		MaxRunners:       f.MaxRunners,
		PollInterval:     time.Duration(f.PollInterval),
		Handoff:          f.Handoff,
		Placement:        f.Placement.placement(),
		Image:            f.Image.image(),
		Bootstrap:        f.Bootstrap.bootstrap(),
		Lease:            f.Lease.lease(),
		Web:              Web(f.Web),
		Log:              Log(f.Log),
		UserDataTemplate: f.UserDataTemplate,
		SnippetsDir:      f.SnippetsDir,
	}
	for _, p := range f.Pools {
		var target runner.Target
		var more []runner.Target
		for i, r := range p.repositories() {
			t, _ := runner.ParseTarget(r) // checked
			if i == 0 {
				target = t
				continue
			}
			more = append(more, t)
		}
		jobs := runner.Policy{Events: slices.Clone(p.Jobs.Events), DenyForks: p.Jobs.Forks == forksDeny}
		for _, r := range p.Jobs.Repositories {
			t, _ := runner.ParseTarget(r) // checked
			jobs.Repositories = append(jobs.Repositories, t)
		}
		c.Pools = append(c.Pools, runner.Pool{
			Name: p.Name, Target: target, More: more, Labels: slices.Clone(p.Labels), AcceptUnlabeled: p.AcceptUnlabeled,
			GroupID: int64(p.RunnerGroupID), NamePrefix: p.NamePrefix, Jobs: jobs, Template: p.Template, Image: p.Image, Nodes: slices.Clone(p.Nodes), Max: p.Max, Priority: p.Priority, Share: p.Share,
			RunnerUser: p.RunnerUser, Cores: p.Cores, Memory: runner.Bytes(p.Memory), Disk: runner.Bytes(p.Disk), FullClone: p.FullClone, Storage: p.Storage,
			BootTimeout: time.Duration(p.BootTimeout), IdleTimeout: time.Duration(p.IdleTimeout), MaxJobDuration: time.Duration(p.MaxJobDuration),
			MinIdle: p.MinIdle, MinIdleSchedule: slices.Clone(p.MinIdleSchedule), BootedSpares: p.BootedSpares, BootedSparesSchedule: slices.Clone(p.BootedSparesSchedule),
			TimeZone: p.TimeZone, SpareMaxAge: time.Duration(p.SpareMaxAge),
		})
	}
	return c
}

// fileOf is the mayfly.yaml that says what a Config says.
func fileOf(c *Config) *File {
	f := &File{
		Installation: c.Installation,
		Proxmox: FileProxmox{
			Endpoints: c.Proxmox.Endpoints, Node: c.Proxmox.Node, Nodes: c.Proxmox.Nodes,
			TokenID: c.Proxmox.TokenID, TokenSecret: c.Proxmox.TokenSecret,
			VerifyTLS: c.Proxmox.VerifyTLS, CAFile: c.Proxmox.CAFile, Fingerprint: c.Proxmox.Fingerprint,
			Storage: c.Proxmox.Storage, ResourcePool: c.Proxmox.ResourcePool,
		},
		GitHub:           FileGitHub{APIURL: c.GitHub.APIURL, Token: c.GitHub.Token, Pace: Duration(c.GitHub.Pace)},
		VMIDs:            FileVMIDs(c.VMIDs),
		NamePrefix:       c.NamePrefix,
		MaxRunners:       c.MaxRunners,
		PollInterval:     Duration(c.PollInterval),
		Handoff:          c.Handoff,
		Placement:        filePlacementOf(c.Placement),
		Image:            fileImageOf(c.Image),
		Bootstrap:        fileBootstrapOf(c.Bootstrap),
		Lease:            fileLeaseOf(c.Lease),
		Web:              FileWeb(c.Web),
		Log:              FileLog(c.Log),
		UserDataTemplate: c.UserDataTemplate,
		SnippetsDir:      c.SnippetsDir,
	}
	for _, p := range c.Pools {
		jobs := FileJobs{Events: p.Jobs.Events, Forks: forksAllow}
		if p.Jobs.DenyForks {
			jobs.Forks = forksDeny
		}
		for _, t := range p.Jobs.Repositories {
			jobs.Repositories = append(jobs.Repositories, t.String())
		}
		target, targets := p.Target.String(), []string(nil)
		if len(p.More) > 0 {
			target = ""
			for _, t := range p.Targets() {
				targets = append(targets, t.String())
			}
		}
		f.Pools = append(f.Pools, FilePool{
			Name: p.Name, Target: target, Targets: targets, Labels: p.Labels, AcceptUnlabeled: p.AcceptUnlabeled,
			RunnerGroupID: int(p.GroupID), NamePrefix: p.NamePrefix, Jobs: jobs, Template: p.Template, Image: p.Image, Nodes: slices.Clone(p.Nodes), Max: p.Max, Priority: p.Priority, Share: p.Share,
			RunnerUser: p.RunnerUser, Cores: p.Cores, Memory: Size(p.Memory), Disk: Size(p.Disk), FullClone: p.FullClone, Storage: p.Storage,
			BootTimeout: Duration(p.BootTimeout), IdleTimeout: Duration(p.IdleTimeout), MaxJobDuration: Duration(p.MaxJobDuration),
			MinIdle: p.MinIdle, MinIdleSchedule: p.MinIdleSchedule, BootedSpares: p.BootedSpares, BootedSparesSchedule: p.BootedSparesSchedule,
			TimeZone: p.TimeZone, SpareMaxAge: Duration(p.SpareMaxAge),
		})
	}
	return f
}
