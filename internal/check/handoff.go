package check

import (
	"fmt"
	"strings"

	"mayfly/internal/config"
)

// handOff looks at what the hand-off needs on this machine.
func (c *checker) handOff() {
	if c.HandOff == nil || !c.wants(Run) {
		return
	}
	const id = "handoff"
	what := "hand-off " + c.Config.Handoff
	var err error
	if c.snippet, err = c.HandOff(); err == nil {
		c.ok(id, what, "has all that it needs on this machine")
		return
	}
	// These errors end with what to do.
	reason, cure, _ := cutLast(err.Error(), "; ")
	c.tell(id, Error, what, reason, cure)
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
	if c.snippet == nil {
		return
	}
	if err := c.snippet.CheckVM(t.cfg.Values); err != nil {
		storage := c.Config.Image.Storage
		if disks := t.disks(); len(disks) > 0 {
			storage = disks[0].storage
		}
		c.tell("template-settings", when(c.Config.Handoff == config.HandoffSnippet), t.String(), "has no cloud-init drive, which hand-off snippet needs",
			fmt.Sprintf("on the node: qm set %d --ide2 %s:cloudinit", t.id, storage))
	}
}
