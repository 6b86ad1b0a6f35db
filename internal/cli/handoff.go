package cli

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"mayfly/internal/cloudinit"
	"mayfly/internal/config"
	"mayfly/internal/fleet"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
)

// newSeeders makes the hand-offs that the configuration may need and that give a VM its identity before it starts. It
// looks at the folder of snippets, and at nothing else.
func newSeeders(c *config.Config, pve *proxmox.Client, log *slog.Logger) (map[fleet.Way]fleet.Seeder, error) {
	if c.Handoff == config.HandoffAgent {
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
	seeders := map[fleet.Way]fleet.Seeder{}
	if c.Handoff != config.HandoffSnippet {
		seeders[fleet.WayISO], err = handoff.NewISO(pve, handoff.ISOOptions{
			Storage: c.Proxmox.Storage, Node: c.Proxmox.Node, Installation: c.Installation, Template: template, Logger: log,
		})
		if err != nil {
			return nil, err
		}
	}
	if c.Handoff == config.HandoffSnippet || c.Handoff == config.HandoffAuto && c.SnippetsDir != "" {
		s, err := handoff.NewSnippet(handoff.SnippetOptions{
			Dir: c.SnippetsDir, Storage: c.Proxmox.Storage, Installation: c.Installation, Template: template,
		})
		if err != nil {
			return nil, err
		}
		if err := s.Check(); err != nil {
			return nil, err
		}
		seeders[fleet.WaySnippet] = s
	}
	return seeders, nil
}

// storagePatience bounds the look at the snippet storage at the start: where Proxmox doesn't answer, run goes on and
// tries again, and the first VM tells.
const storagePatience = 5 * time.Second

// checkSnippetStorage asks Proxmox whether the storage takes snippets. A token that may not look leaves the question
// open; only an answer that says no is an error.
func checkSnippetStorage(ctx context.Context, c *config.Config, seeders map[fleet.Way]fleet.Seeder, pve *proxmox.Client) error {
	snippets, ok := seeders[fleet.WaySnippet].(*handoff.Snippet)
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
