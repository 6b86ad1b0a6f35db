package cli

import (
	"context"
	"fmt"
	"time"

	"mayfly/internal/cloudinit"
	"mayfly/internal/config"
	"mayfly/internal/fleet"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
)

// newSeeder makes the snippet hand-off where the configuration may need it, and looks at its folder; nil where it
// doesn't.
func newSeeder(c *config.Config) (fleet.Seeder, error) {
	if c.Handoff == config.HandoffAgent || c.SnippetsDir == "" && c.Handoff == config.HandoffAuto {
		return nil, nil
	}
	text, from, err := c.UserData()
	if err != nil {
		return nil, err
	}
	template, err := cloudinit.Parse(from, text)
	if err != nil {
		return nil, err
	}
	s, err := handoff.NewSnippet(handoff.SnippetOptions{
		Dir: c.SnippetsDir, Storage: c.Proxmox.Storage, Installation: c.Installation, Template: template,
	})
	if err != nil {
		return nil, err
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	return s, nil
}

// storagePatience bounds the look at the snippet storage at the start: where Proxmox doesn't answer, run goes on and
// tries again, and the first VM tells.
const storagePatience = 5 * time.Second

// checkSnippetStorage asks Proxmox whether the storage takes snippets. A token that may not look leaves the question
// open; only an answer that says no is an error.
func checkSnippetStorage(ctx context.Context, c *config.Config, s fleet.Seeder, pve *proxmox.Client) error {
	snippets, ok := s.(*handoff.Snippet)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storagePatience)
	defer cancel()
	list, err := pve.Storages(ctx, c.Proxmox.Node)
	if err != nil {
		return nil // run itself tells what is wrong with the connection
	}
	for _, st := range list {
		if st.Name == c.Proxmox.Storage {
			if err := snippets.CheckStorage(st); err != nil {
				return fmt.Errorf("start: %w", err)
			}
		}
	}
	return nil
}
