package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mayfly/internal/bootstrap"
	"mayfly/internal/fleet"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// auditRoot lets a token see what has no privilege of its own; docs/roles.yaml, command check.
func (c *checker) auditRoot() string {
	return fmt.Sprintf("or let the token see it: pveum acl modify / --users %s --tokens '%s' --roles MayflyNode --propagate 0", user(c.Config.Proxmox.TokenID), c.Config.Proxmox.TokenID)
}

// tagUse is a tag that something sets on its guests.
type tagUse struct {
	tag   string
	level Level // what it is when the tag is refused
	why   string
}

// tagsUsed are the tags of all features.
func (c *checker) tagsUsed() []tagUse {
	var list []tagUse
	if c.wants(Run) {
		for _, p := range c.Config.Pools {
			for _, tag := range fleet.Tags(c.Config.Installation, p.Name) {
				if !slices.ContainsFunc(list, func(u tagUse) bool { return u.tag == tag }) {
					list = append(list, tagUse{tag, Warning, "runners go without, and are harder to tell from other VMs"})
				}
			}
		}
	}
	if c.wants(Build) {
		for _, tag := range []string{runner.TagImage, runner.TagPromoted, runner.TagBuild} {
			list = append(list, tagUse{tag, Error, "builds fail: pools know promoted versions of images by them"})
		}
	}
	if c.wants(Bootstrap) {
		for _, tag := range []string{bootstrap.TagReady, bootstrap.TagFailed} {
			list = append(list, tagUse{tag, Error, "the container can't tell that it is ready"})
		}
	}
	return list
}

// tags compares the tags that are set with the datacenter's rules.
func (c *checker) tags(ctx context.Context) {
	const id, what = "tags", "tags of VMs"
	rules, err := c.Proxmox.AllowedTags(ctx)
	if err != nil {
		c.tell(id, Warning, what, err.Error(), "on a node: pvesh get /cluster/options")
		return
	}
	if c.may("/", "Sys.Modify") {
		c.ok(id, what, "may be any: the token has Sys.Modify on /")
		return
	}
	free := rules.UserAllow == "" || rules.UserAllow == "free"
	level := OK
	var refused, registered, unsure, why []string
	for _, u := range c.tagsUsed() {
		switch {
		case slices.Contains(rules.Allowed, u.tag):
			continue
		case slices.Contains(rules.Registered, u.tag):
			registered = append(registered, u.tag)
		case !free:
			refused = append(refused, u.tag)
		case !c.may("/", "Sys.Audit"):
			unsure = append(unsure, u.tag)
			continue
		default:
			continue
		}
		why = appendNew(why, u.why)
		if u.level.rank() > level.rank() {
			level = u.level
		}
	}
	reason := strings.Join(why, "; ")
	switch {
	case len(refused) > 0:
		c.tell(id, level, what, fmt.Sprintf("users may not set %s (user tag access: %s): %s", strings.Join(append(refused, registered...), ", "), rules.UserAllow, reason),
			"Datacenter → Options → User Tag Access: add "+strings.Join(refused, ", ")+also("; Registered Tags: take out ", registered))
	case len(registered) > 0:
		c.tell(id, level, what, fmt.Sprintf("%s are registered, which takes Sys.Modify on /: %s", strings.Join(registered, ", "), reason), "Datacenter → Options → Registered Tags: take out "+strings.Join(registered, ", "))
	case len(unsure) > 0:
		c.tell(id, Unseen, what, "whether "+strings.Join(unsure, ", ")+" may be set shows only with Sys.Audit on /; by default they may",
			"look at Datacenter → Options → User Tag Access, Registered Tags; "+c.auditRoot())
	default:
		c.ok(id, what, "may be set")
	}
}

// also adds a list where there is one.
func also(words string, list []string) string {
	if len(list) == 0 {
		return ""
	}
	return words + strings.Join(list, ", ")
}

// backups looks for backup jobs that save runners: a VM that is saved is locked, and no token stops or destroys it.
func (c *checker) backups(ctx context.Context) {
	if !c.wants(Run) {
		return
	}
	const id, what = "backup-jobs", "backup jobs"
	jobs, err := c.Proxmox.BackupJobs(ctx)
	switch {
	case errors.Is(err, proxmox.Permission):
		c.tell(id, Unseen, what, "are shown only with Sys.Audit on /; one that saves runners locks them, and they can't be stopped or destroyed meanwhile",
			"look at Datacenter → Backup; "+c.auditRoot())
		return
	case err != nil:
		c.tell(id, Warning, what, err.Error(), "on a node: pvesh get /cluster/backup")
		return
	}
	good := true
	for _, job := range jobs {
		if how := c.catches(job); how != "" {
			good = false
			c.tell(id, Warning, "backup job "+job.ID, how+": a runner that is saved is locked, and can't be stopped or destroyed meanwhile",
				fmt.Sprintf("Datacenter → Backup → %s → Edit → Selection mode: Include selected VMs, or Pool based with another resource pool", job.ID))
		}
	}
	if good {
		c.ok(id, what, fmt.Sprintf("%d, and none saves runners", len(jobs)))
	}
}

// catches tells how a job comes to save runners; "" where it doesn't.
func (c *checker) catches(job proxmox.BackupJob) string {
	r := c.Config.VMIDs
	if !job.Enabled || job.Node != "" && job.Node != c.Config.Proxmox.Node {
		return ""
	}
	inRange := func(list []int) int {
		seen := map[int]bool{}
		for _, id := range list {
			if r.Start <= id && id <= r.End {
				seen[id] = true
			}
		}
		return len(seen)
	}
	switch {
	case job.Pool != "":
		if job.Pool == c.Config.Proxmox.ResourcePool {
			return "saves resource pool " + job.Pool + ", which runners are in"
		}
	case len(job.VMIDs) > 0:
		if n := inRange(job.VMIDs); n > 0 {
			return fmt.Sprintf("names %d VMIDs of runners", n)
		}
	case job.All:
		if inRange(job.Exclude) < r.Size() {
			return fmt.Sprintf("saves all VMs but those excluded, so also runners (VMIDs %d to %d)", r.Start, r.End)
		}
	}
	return ""
}
