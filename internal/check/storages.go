package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mayfly/internal/config"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// use is what a storage is wanted for.
type use struct {
	storage, content, why, key string
	level                      Level        // of a lack of the content
	room                       runner.Bytes // that should be free
}

// filesRoom is what a vendor's image with its seed takes, generously.
const filesRoom = 4 * runner.GiB

// seedRoom is what the images of hand-off iso take.
const seedRoom = 64 << 20

// uses lists every storage that the features use.
func (c *checker) uses() []use {
	var list []use
	if c.wants(Run) {
		for _, t := range c.templates {
			for _, d := range t.disks() {
				list = append(list, use{storage: d.storage, content: "images", why: "disks of clones of " + t.base, key: "the template's disk", level: Error, room: runnersRoom})
			}
		}
		for _, p := range c.Config.Pools {
			if p.FullClone && p.Storage != "" {
				list = append(list, use{storage: p.Storage, content: "images", why: "disks of pool " + p.Name, key: "storage of the pool", level: Error, room: runnersRoom})
			}
		}
		switch c.Config.Handoff {
		case config.HandoffISO:
			list = append(list, use{storage: c.Config.Proxmox.Storage, content: "iso", why: "hand-off iso", key: "PROXMOX_STORAGE (proxmox.storage)", level: Error, room: seedRoom})
		case config.HandoffSnippet:
			list = append(list, use{storage: c.Config.Proxmox.Storage, content: "snippets", why: "hand-off snippet", key: "PROXMOX_STORAGE (proxmox.storage)", level: Error, room: seedRoom})
		}
	}
	if c.wants(Build) {
		i := c.Config.Image
		list = append(list,
			use{storage: i.Storage, content: "images", why: "disks of templates", key: "image.storage", level: Error, room: i.Disk},
			use{storage: filesStorage(c.Config), content: "import", why: "the vendor's image", key: "image.files_storage", level: Error, room: filesRoom},
			use{storage: filesStorage(c.Config), content: "iso", why: "the seed of builds", key: "image.files_storage", level: Error, room: filesRoom})
	}
	return list
}

// runnersRoom is what the first runner should find free; a full thin pool stops every VM on it.
const runnersRoom = 10 * runner.GiB

// lookAtStorages judges each use of a storage.
func (c *checker) lookAtStorages(context.Context) {
	node := c.Config.Proxmox.Node
	seen := map[string]bool{}
	for _, u := range c.uses() {
		if seen[u.storage+" "+u.content] {
			continue
		}
		seen[u.storage+" "+u.content] = true
		what := fmt.Sprintf("storage %s (%s)", u.storage, u.why)
		at := slices.IndexFunc(c.storages, func(s proxmox.Storage) bool { return s.Name == u.storage })
		if at < 0 {
			// The lack of a privilege, which hides it, has a finding of its own.
			c.tell("storage-missing", u.level, what, fmt.Sprintf("isn't on node %s, as far as this token sees", node),
				fmt.Sprintf("where pvesm status on the node shows it, grant Datastore.Audit on /storage/%s; else set %s to one that it shows", u.storage, u.key))
			continue
		}
		c.storage(what, u, c.storages[at])
	}
}

func (c *checker) storage(what string, u use, s proxmox.Storage) {
	switch {
	case !s.Enabled:
		c.tell("storage-inactive", Error, what, "is disabled", "on a node: pvesm set "+s.Name+" --disable 0")
	case !s.Active:
		c.tell("storage-inactive", Error, what, "isn't active on node "+c.Config.Proxmox.Node, "on the node: pvesm status --storage "+s.Name)
	case !slices.Contains(s.Content, u.content):
		c.tell("storage-content", u.level, what, fmt.Sprintf("takes %s, not %s", strings.Join(s.Content, ", "), u.content),
			fmt.Sprintf("on a node: pvesm set %s --content %s", s.Name, strings.Join(append(slices.Clone(s.Content), u.content), ",")))
	case s.Total > 0 && s.Avail < u.room:
		c.tell("storage-space", Warning, what, fmt.Sprintf("has %s free of %s; %s or more are wanted", s.Avail, s.Total, u.room), "free space there, or set "+u.key+" to another storage")
	default:
		c.ok("storage", what, fmt.Sprintf("takes %s, %s free", u.content, s.Avail))
	}
}
