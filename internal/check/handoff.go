package check

import (
	"context"
	"fmt"
	"strings"

	"mayfly/internal/config"
	"mayfly/internal/fleet"
)

// handOff looks at what the hand-off needs on this machine.
func (c *checker) handOff() {
	if c.HandOff == nil || !c.wants(Run) {
		return
	}
	const id = "handoff"
	what := "hand-off " + c.Config.Handoff
	var err error
	if c.seeders, err = c.HandOff(); err == nil {
		c.ok(id, what, "has all that it needs on this machine")
		return
	}
	// These errors end with what to do.
	reason, cure, _ := cutLast(err.Error(), "; ")
	c.tell(id, Error, what, reason, cure)
}

// ways says which hand-off auto comes to, for each template, by the rule that mayfly run goes by.
func (c *checker) ways(context.Context) {
	if c.Config.Handoff != config.HandoffAuto || c.granted == nil {
		return
	}
	spec := fleet.Spec{
		Node: c.Config.Proxmox.Node, Token: c.Config.Proxmox.TokenID, ResourcePool: c.Config.Proxmox.ResourcePool, Way: fleet.WayAuto, Storage: c.Config.Proxmox.Storage,
	}
	for _, t := range c.templates {
		if !t.found || t.err != nil {
			continue
		}
		what := "hand-off auto of " + t.String()
		way, why, problem := spec.ChooseWay(t.base, t.id, t.cfg, c.seeders, c.granted, c.storages[c.Config.Proxmox.Node])
		if problem != "" {
			_, reason, _ := strings.Cut(problem, ": ")
			c.tell("handoff", Error, what, reason, "mend one of these; the guest agent is the shortest")
			continue
		}
		c.ok("handoff", what, "comes to "+string(way)+": "+why)
	}
}

// cutLast is strings.Cut at the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	if at := strings.LastIndex(s, sep); at >= 0 {
		return s[:at], s[at+len(sep):], true
	}
	return s, "", false
}

// drive looks whether a template has the drive that snippets get into guests by.
func (c *checker) drive(t template) {
	seeder := c.seeders[fleet.WaySnippet]
	if seeder == nil {
		return
	}
	if err := seeder.CheckVM(t.cfg.Values); err != nil {
		storage := c.Config.Image.Storage
		if disks := t.disks(); len(disks) > 0 {
			storage = disks[0].storage
		}
		c.mend("template-settings", when(c.Config.Handoff == config.HandoffSnippet), t.String(), "has no cloud-init drive, which hand-off snippet needs",
			c.Config.Proxmox.Node, fmt.Sprintf("qm set %d --ide2 %s:cloudinit", t.id, storage))
	}
}
