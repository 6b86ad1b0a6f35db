package pve

import (
	"fmt"
	"maps"
	"slices"

	"mayfly/internal/runner"
)

// FillStorage fills a node's storage to the last byte, or makes room again. New disks on it fail; what its running
// machines write is another matter (see Halt).
func (s *Server) FillStorage(node, storage string, full bool) error {
	s.lock()
	defer s.mu.Unlock()
	if s.nodes[node] == nil || s.storageByID(storage) == nil {
		return fmt.Errorf("fill storage %s of %s: no such node or storage", storage, node)
	}
	s.full[s.key(node, storage)] = full
	return nil
}

// taken is what lists say is used of a storage on a node.
func (c *cluster) taken(node string, st *storage) runner.Bytes {
	if c.full[c.key(node, st.id)] {
		return st.total
	}
	return c.used(node, st)
}

// roomForClone refuses a clone's disks where a storage is full, in the words of LVM and of qemu-img.
func (c *cluster) roomForClone(src *vm, o *cloning, full bool) *apiError {
	for _, opt := range slices.Sorted(maps.Keys(src.disks())) {
		to := src.disks()[opt].storage()
		if full && o.storage != "" {
			to = o.storage
		}
		if !c.full[c.key(src.node, to)] {
			continue
		}
		if st := c.storageByID(to); st.files() {
			return failf("unable to create image: qemu-img: %s: Could not write qcow2 header: No space left on device",
				st.path(fmt.Sprintf("%d/vm-%d-disk-0.qcow2", o.newid, o.newid)))
		}
		what := "lvcreate snapshot" // of a linked clone
		if full {
			what = "lvcreate"
		}
		return failf("%s 'pve/vm-%d-disk-0' error: Cannot create new thin volume, free space in thin pool pve/data reached threshold.", what, o.newid)
	}
	return nil
}
