package check

import (
	"context"
	"errors"

	"mayfly/internal/proxmox"
)

// leaseMap is what the mapping of a lease has to name at least: a directory of no node.
const leaseMap = "node=unused,path=/mayfly-lease"

// lease looks whether the directory mapping that dispatchers keep their lease in is there.
func (c *checker) lease(ctx context.Context) {
	l := c.Config.Lease
	if !l.Enabled || !c.wants(Run) {
		return
	}
	id, what := "lease-mapping", "directory mapping "+l.Mapping+" (lease.mapping)"
	_, err := c.Proxmox.DirMapping(ctx, l.Mapping)
	switch {
	case err == nil:
		c.ok(id, what, "is there")
	case errors.Is(err, proxmox.NotFound):
		level := Error
		if c.may("/mapping/dir", "Mapping.Modify") {
			level = Warning // mayfly run makes it
		}
		c.mend(id, level, what, "doesn't exist", "", "pvesh create /cluster/mapping/dir --id "+l.Mapping+" --map "+leaseMap)
	case errors.Is(err, proxmox.Permission):
		// The missing privilege has a finding of its own.
	default:
		c.tell(id, Error, what, err.Error(), "on a node: pvesh get /cluster/mapping/dir")
	}
}
