package gc

import (
	"context"
	"fmt"
	"strings"

	"mayfly/internal/handoff"
)

// cleanFiles removes user-data whose runner has no VM and that no VM's config names. A file may hold another runner's
// identity than the one that it is called after, so the configs of all VMs of the range count, ours or not.
func (g *run) cleanFiles(ctx context.Context) error {
	for _, from := range g.o.Files {
		files, err := from.Files(ctx)
		if err != nil {
			return err
		}
		for _, f := range files {
			if !g.old(f.Created) {
				continue
			}
			found := Finding{Kind: UserData, Name: f.Name, Since: f.Created, Why: "no VM has it"}
			if user := g.userOf(f); user != nil {
				if user.unread == nil {
					continue
				}
				found.Outcome, found.Detail = Kept, fmt.Sprintf("it may be VM %d's, whose config can't be read", user.id)
				g.tell(found)
				continue
			}
			g.remove(ctx, found, func(ctx context.Context) (Outcome, string) {
				if err := from.Remove(ctx, f); err != nil {
					return Failed, err.Error()
				}
				return Removed, ""
			})
		}
	}
	return nil
}

// userOf finds the VM that has a file, or may have it.
func (g *run) userOf(f handoff.File) *vm {
	var blind *vm
	for i, v := range g.vms {
		if v.unread != nil {
			blind = &g.vms[i]
			continue
		}
		if v.name == f.Runner {
			return &g.vms[i]
		}
		for _, value := range v.cfg.Values {
			if strings.Contains(value, f.Name) {
				return &g.vms[i]
			}
		}
	}
	return blind
}
