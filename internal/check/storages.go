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
	feature                    Feature
	storage, content, why, key string
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
				list = append(list, use{feature: Run, storage: d.storage, content: "images", why: "disks of clones of " + t.base, key: "the template's disk", room: runnersRoom})
			}
		}
		for _, p := range c.Config.Pools {
			if p.FullClone && p.Storage != "" {
				list = append(list, use{feature: Run, storage: p.Storage, content: "images", why: "disks of pool " + p.Name, key: "storage of the pool", room: runnersRoom})
			}
		}
		switch c.Config.Handoff {
		case config.HandoffISO:
			list = append(list, use{feature: Run, storage: c.Config.Proxmox.Storage, content: "iso", why: "hand-off iso", key: "PROXMOX_STORAGE (proxmox.storage)", room: seedRoom})
		case config.HandoffSnippet:
			list = append(list, use{feature: Run, storage: c.Config.Proxmox.Storage, content: "snippets", why: "hand-off snippet", key: "PROXMOX_STORAGE (proxmox.storage)", room: seedRoom})
		}
	}
	if c.wants(Build) {
		i := c.Config.Image
		list = append(list,
			use{feature: Build, storage: i.Storage, content: "images", why: "disks of templates", key: "image.storage", room: i.Disk},
			use{feature: Build, storage: filesStorage(c.Config), content: "import", why: "the vendor's image", key: "image.files_storage", room: filesRoom},
			use{feature: Build, storage: filesStorage(c.Config), content: "iso", why: "the seed of builds", key: "image.files_storage", room: filesRoom})
	}
	if c.wants(Bootstrap) {
		b := c.Config.Bootstrap
		list = append(list,
			use{feature: Bootstrap, storage: b.Storage, content: "rootdir", why: "the container's disk", key: "CT_STORAGE (bootstrap.storage)", room: b.Disk},
			use{feature: Bootstrap, storage: b.TemplateStorage, content: "vztmpl", why: "the prepared template", key: "CT_TEMPLATE_STORAGE (bootstrap.template_storage)", room: templateRoom})
	}
	return list
}

// templateRoom is what a prepared template of a container takes.
const templateRoom = 512 << 20

// runnersRoom is what the first runner should find free; a full thin pool stops every VM on it.
const runnersRoom = 10 * runner.GiB

// lookAtStorages judges each use of a storage, on each node that it is used on.
func (c *checker) lookAtStorages(context.Context) {
	seen := map[string]bool{}
	for _, u := range c.uses() {
		nodes := []string{c.Config.Proxmox.Node}
		if u.feature == Build {
			nodes = c.buildNodes()
		}
		for _, node := range nodes {
			list, known := c.storages[node]
			key := node + " " + u.storage + " " + u.content
			if !known || seen[key] {
				continue // a node that is away has a finding of its own
			}
			seen[key] = true
			c.storage(u, node, list)
		}
	}
}

func (c *checker) storage(u use, node string, list []proxmox.Storage) {
	what := fmt.Sprintf("storage %s on %s (%s)", u.storage, node, u.why)
	at := slices.IndexFunc(list, func(s proxmox.Storage) bool { return s.Name == u.storage })
	if at < 0 {
		// The lack of a privilege, which hides it, has a finding of its own.
		c.tell("storage-missing", Error, what, "isn't on the node, as far as this token sees",
			fmt.Sprintf("where pvesm status on the node shows it, grant Datastore.Audit on /storage/%s; else set %s to one that it shows", u.storage, u.key))
		return
	}
	s := list[at]
	switch {
	case !s.Enabled:
		c.mend("storage-inactive", Error, what, "is disabled", "", "pvesm set "+s.Name+" --disable 0")
	case !s.Active:
		c.tell("storage-inactive", Error, what, "isn't active on the node", "on the node: pvesm status --storage "+s.Name)
	case !slices.Contains(s.Content, u.content):
		c.mend("storage-content", Error, what, fmt.Sprintf("takes %s, not %s", strings.Join(s.Content, ", "), u.content),
			"", fmt.Sprintf("pvesm set %s --content %s", s.Name, strings.Join(append(slices.Clone(s.Content), u.content), ",")))
	case s.Total > 0 && s.Avail < u.room:
		c.tell("storage-space", Warning, what, fmt.Sprintf("has %s free of %s; %s or more are wanted", s.Avail, s.Total, u.room), "free space there, or set "+u.key+" to another storage")
	default:
		c.ok("storage", what, fmt.Sprintf("takes %s, %s free", u.content, s.Avail))
	}
}
